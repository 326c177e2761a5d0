import { coversAllOrigins } from '../conformance/tap-origins.ts';
import { prosodyTap } from '../support/prosody-tap.ts';

coversAllOrigins(await prosodyTap());
