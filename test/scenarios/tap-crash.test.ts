import { losesNothingWhenKilled } from '../conformance/tap-crash.ts';
import { losesNoCopyWhenKilled } from '../conformance/tap-members-crash.ts';
import { ejabberdTap } from '../support/ejabberd-tap.ts';
import { prosodyTap } from '../support/prosody-tap.ts';

const { CRASH_MESSAGES = 5000, CRASH_KILLS = 4 } = process.env;
const extent = { total: Number(CRASH_MESSAGES), kills: Number(CRASH_KILLS) };

losesNothingWhenKilled(await prosodyTap(), extent);
losesNothingWhenKilled(await ejabberdTap(), extent);

const inRoom = { total: Math.ceil(extent.total / 50), kills: Math.ceil(extent.kills / 2) };

losesNoCopyWhenKilled(await prosodyTap(), inRoom);
losesNoCopyWhenKilled(await ejabberdTap(), inRoom);
