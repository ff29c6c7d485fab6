import type { KubernetesClient } from '@shard-controller/shared/kubernetes';
import {
  type PruningSpeed,
  type FilterSpeed,
  measurePruning,
  measureFilter,
} from '@shard-controller/worker/filter-speed';
import { fetchRealFrames } from './real-frames.ts';

export interface FilterBench {
  /** Watch frames of pods. */
  readonly protobuf: FilterSpeed;
  /** Watch frames of custom resources. */
  readonly json: FilterSpeed;
  /** Filter and diet together, every object kept. */
  readonly protobufDiet: PruningSpeed;
  readonly jsonDiet: PruningSpeed;
}

const OBJECTS = 200;
const POD = { group: '', resource: 'pods', apiVersion: 'v1', kind: 'Pod' };
const ROLLOUT = { group: 'bench.shard.io', resource: 'rollouts', apiVersion: 'bench.shard.io/v1', kind: 'Rollout' };
const EXPORTER = { version: '2.20.0', annotationAllowList: new Map([['pods', ['example.com/owner']]]) };

/** Filter and diet alone, on the bytes of objects that the API server of `client` sent. Takes `milliseconds` four times. */
export async function benchFilter(client: KubernetesClient, milliseconds: number): Promise<FilterBench> {
  const { protobuf, json } = await fetchRealFrames(client, OBJECTS);
  return {
    protobuf: measureFilter(protobuf, 'protobuf', milliseconds),
    json: measureFilter(json, 'json', milliseconds),
    protobufDiet: measurePruning(protobuf, 'protobuf', milliseconds, POD, EXPORTER),
    jsonDiet: measurePruning(json, 'json', milliseconds, ROLLOUT, EXPORTER),
  };
}
