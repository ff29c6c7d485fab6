export { listen, type ListenAt, ListenError, type ListenErrorCode } from './listen.ts';
