import { receivesMessagesOfTheAccount } from '../conformance/account.ts';
import { accountsOnEjabberd } from '../support/account-servers.ts';

receivesMessagesOfTheAccount(await accountsOnEjabberd());
