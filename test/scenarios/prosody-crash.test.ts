import { losesNothingWhenKilled } from '../conformance/tap-crash.ts';
import { prosodyTap } from '../support/prosody-tap.ts';

losesNothingWhenKilled(await prosodyTap(), { total: 2000, kills: 3 });
