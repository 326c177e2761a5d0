export { type ErrorCode, errorCodes, ServiceError } from './kit/errors.ts';
