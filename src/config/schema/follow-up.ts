import { z } from 'zod';
import { parseHostRule } from '../../kit/network.ts';
import { domain, flag, listOf, section, whole } from './values.ts';

const hostRuleExpected =
  'a host, "*.suffix", an address or a CIDR, with ":port" behind it or not, such as "10.0.0.172:5984" or "[fd00::/8]:443"';

const hostRule = z.string({ error: hostRuleExpected }).refine((text) => parseHostRule(text) !== undefined, { error: hostRuleExpected });

const senderExpected = 'a bare JID, such as "bot@chat.example" or "pusher.chat.example"';

const sender = z.string({ error: senderExpected }).regex(/^([^\s"&'/:<>@]+@)?[^\s"&'/:<>@]+$/u, { error: senderExpected });

/** `follow_up` of a handler: what the answers of its backend may order. */
export const followUpSchema = section({
  enabled: flag.default(true),
  allow: listOf(hostRule, 'a list of hosts').optional(),
  max_depth: whole(1, 100).default(10),
  reply_from: sender.optional(),
  default_host: domain.optional(),
});

export type FollowUpSection = z.output<typeof followUpSchema>;
