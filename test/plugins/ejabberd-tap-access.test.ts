import { keepsStrangersOut } from '../conformance/tap-access.ts';
import { ejabberdTap } from '../support/ejabberd-tap.ts';

keepsStrangersOut(await ejabberdTap());
