import { seesWhoSpeaksInRooms } from '../conformance/tap-rooms.ts';
import { ejabberdTap } from '../support/ejabberd-tap.ts';

seesWhoSpeaksInRooms(await ejabberdTap());
