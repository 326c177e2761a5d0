import { seesWhoeverSpeaks } from '../conformance/tap-origins.ts';
import { prosodyTap } from '../support/prosody-tap.ts';

seesWhoeverSpeaks(await prosodyTap());
