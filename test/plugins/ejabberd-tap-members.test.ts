import { copiesForAbsentMembers } from '../conformance/tap-members.ts';
import { ejabberdTap } from '../support/ejabberd-tap.ts';

copiesForAbsentMembers(await ejabberdTap());
