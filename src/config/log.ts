import { flag, section } from './values.ts';

/** `[log]` */
export const logSchema = section({
  jids: flag.default(false),
});
