// Messages of local users that begin with the mark (`options.mark`, by default "!"), as JSON, without the mark.
import { defineCallbacks } from 'xmpp-event-pusher/callbacks';

const markOf = (opts) => opts.mark ?? '!';

// `defineCallbacks` only adds types for the editor.
export default defineCallbacks({
  shouldMakeReq({ dir, packet, opts }) {
    return dir === 'in' && packet.name === 'message' && packet.text('body').startsWith(markOf(opts));
  },

  prepareHeaders({ acc }) {
    return { 'content-type': 'application/json', 'x-packet-id': acc.id };
  },

  prepareBody({ acc, from, to, message, opts }) {
    const alert = message.slice(markOf(opts).length).trim();
    return JSON.stringify({ alert, from: from.bare, to: to.bare, at: acc.time });
  },
});
