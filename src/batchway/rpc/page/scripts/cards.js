// What is sent and what is answered, side by side in a method's view, and in each row of a batch.

/** A card with a title, what stands beside it, and a body. */
function card(title, aside, ...children) {
  const heading = freshId('card');
  return h('section.card', { 'aria-labelledby': heading },
    h('div.card-head', h('h2', { id: heading }, title), aside),
    ...children);
}

/** The request as it will be sent: as JSON, or as a curl command. */
function requestCard(...footer) {
  let call = null;
  let shown = 'json';
  const tabs = segments('Show the request as', { json: 'JSON', curl: 'curl' }, (key) => {
    shown = key;
    tabs.show(key);
    show();
  });
  const text = () => (shown === 'json' ? layOut(call) : curl(writeJson(call)));
  const body = codeBlock('Request');
  const show = () => fill(body, shown === 'json' ? colored(text()) : text());
  const aside = h('div.card-actions', tabs.element, copyButton('request', text));
  return {
    element: card('Request', aside, body, h('div.card-foot', ...footer)),
    set(value) {
      call = value;
      show();
    },
    refresh: () => call && show(),
  };
}

/** The words for how it went over HTTP: status, time, size. */
function outcomeLine(answer) {
  if (answer.failure) return h('span.outcome', h('span.status.bad', 'failed'), h('span', seconds(answer.ms)));
  return h('span.outcome',
    h(answer.ok ? 'span.status.good' : 'span.status.bad', `${answer.status} ${answer.reason}`.trim()),
    h('span', seconds(answer.ms)),
    h('span', size(answer.bytes)));
}

/** A response object, its error first if it is one. */
function responseParts(response) {
  const error = isObject(response) && response.get('error');
  return [
    isObject(error) && errorLine(error),
    codeBlock('Response', colored(layOut(response))),
  ];
}

function errorLine(error) {
  const code = error.get('code');
  const message = error.get('message');
  return h('p.error-line',
    h('strong', code === undefined ? 'Error' : `Error ${writeJson(code)}`),
    ' ',
    typeof message === 'string' ? message : '');
}

/** All of an answer that is not taken apart. */
function answerParts(answer) {
  if (answer.failure) return [h('p.error-line', answer.failure)];
  if (answer.text === '') return [h('p.empty', 'No content: a notification has no answer.')];
  const value = maybeJson(answer.text);
  if (value === undefined) return [codeBlock('Response', answer.text.slice(0, SHOWN))];
  return responseParts(value);
}

function responseCard() {
  let answer = null;
  const body = h('div.card-body');
  const outcome = h('span');
  const copier = copyButton('response', () => answer?.text ?? '');
  const element = card('Response', h('div.card-actions', outcome, copier), body);
  element.classList.add('response');
  copier.hidden = true;
  fill(body, h('p.empty', 'Nothing sent yet.'));
  return {
    element,
    set(value) {
      answer = value;
      fill(outcome, outcomeLine(answer));
      copier.hidden = !answer.text;
      fill(body, answerParts(answer));
      announce(spoken(answer));
    },
  };
}

/** How it went, in one sentence. */
function spoken(answer) {
  if (answer.failure) return answer.failure;
  const response = maybeJson(answer.text);
  const error = isObject(response) && response.get('error');
  const what = isObject(error) ? `error ${writeJson(error.get('code') ?? null)}, ${error.get('message')}` : 'answered';
  return `${answer.status}, ${what}, in ${seconds(answer.ms)}`;
}
