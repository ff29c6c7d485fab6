export { listen, type ListenAt, ListenError, type ListenErrorCode, portOf } from './listen.ts';
