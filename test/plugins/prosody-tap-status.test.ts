import { reportsStatusChanges } from '../conformance/tap-status.ts';
import { prosodyTap } from '../support/prosody-tap.ts';

reportsStatusChanges(await prosodyTap());
