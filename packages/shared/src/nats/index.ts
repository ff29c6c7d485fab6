export { MAX_MESSAGE_BYTES, type Parsed, encodeMessage, parseMessage } from './message.ts';
