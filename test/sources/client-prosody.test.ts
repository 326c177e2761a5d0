import { receivesMessagesOfTheAccount } from '../conformance/account.ts';
import { accountsOnProsody } from '../support/account-servers.ts';

receivesMessagesOfTheAccount(await accountsOnProsody());
