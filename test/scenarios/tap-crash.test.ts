import { losesNothingWhenKilled } from '../conformance/tap-crash.ts';
import { ejabberdTap } from '../support/ejabberd-tap.ts';
import { prosodyTap } from '../support/prosody-tap.ts';

const { CRASH_MESSAGES = 5000, CRASH_KILLS = 4 } = process.env;
const extent = { total: Number(CRASH_MESSAGES), kills: Number(CRASH_KILLS) };

losesNothingWhenKilled(await prosodyTap(), extent);
losesNothingWhenKilled(await ejabberdTap(), extent);
