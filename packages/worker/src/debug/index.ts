export { shardEndpoint } from './shard-endpoint.ts';
