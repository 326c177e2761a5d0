// One module with callbacks of two kinds. What it leaves out (shouldMakeReq, prepareHeaders, prepareBody) is the default
// module's: the form.
import { randomUUID } from 'node:crypto';
import {
  DELIVERY_PERMFAILED,
  DELIVERY_SUCCESS,
  DELIVERY_TEMPFAILED,
  DLV_RESPONSE_STATUS,
  DLV_RESPONSE_STATUS_DETAIL,
  defineCallbacks,
  HTTP_INTERNAL_CONT,
  HTTP_INTERNAL_DONE,
} from 'xmpp-event-pusher/callbacks';

// A status of our own, where no HTTP status is: 590 to 599 are taken.
const LATER = 1001;

export default defineCallbacks({
  // In the pool's thread, for each attempt: this backend answers 200 to everything, and says in a header what it did.
  handleResponse({ response, message: { context } }) {
    const notification = response.headers['x-notificationstatus'];
    if (notification === undefined || notification === 'Received') return HTTP_INTERNAL_CONT;
    context.set(DLV_RESPONSE_STATUS, String(LATER));
    context.set(DLV_RESPONSE_STATUS_DETAIL, notification);
    return HTTP_INTERNAL_DONE;
  },

  statusClassifier(status) {
    if (status >= 200 && status < 300) return DELIVERY_SUCCESS;
    return status >= 400 && status < 500 && status !== 429 ? DELIVERY_PERMFAILED : DELIVERY_TEMPFAILED;
  },

  // While the chat server holds the message: the question that is asked before a push, about the message itself. What goes
  // wrong here is thrown, and the chat server's module does what its on_failure says.
  async gate({ packet, from, to, opts }) {
    const answer = await fetch(`${opts.business_server}?command=callbackBeforePushCommand&contenttype=json`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', operationID: randomUUID() },
      body: JSON.stringify({
        callbackCommand: 'callbackBeforePushCommand',
        clientMsgID: packet.attrs.id ?? '',
        sendID: from.user,
        userIDList: [to.user],
        contentType: 1,
        sessionType: 1,
        content: packet.text('body'),
      }),
    });
    if (!answer.ok) throw new Error(`the business server answers ${answer.status}`);
    const { actionCode, nextCode, errMsg } = await answer.json();
    if (Number(actionCode) !== 0) throw new Error(`the business server answers actionCode ${actionCode}`);
    return Number(nextCode) === 1 ? { refuse: errMsg || 'Your message was not sent.' } : true;
  },
});
