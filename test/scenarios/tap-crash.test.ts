import { losesNothingWhenKilled } from '../conformance/tap-crash.ts';
import { ejabberdTap } from '../support/ejabberd-tap.ts';
import { prosodyTap } from '../support/prosody-tap.ts';

const extent = { total: Number(process.env['CRASH_MESSAGES'] ?? 10_000), kills: 4 };

losesNothingWhenKilled(await prosodyTap(), extent);
losesNothingWhenKilled(await ejabberdTap(), extent);
