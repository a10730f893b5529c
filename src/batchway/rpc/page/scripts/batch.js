// The batch: calls that were collected, in order, sent as one POST, each with its answer beside it.

const idKey = (id) => (typeof id === 'string' ? id : writeJson(id));

/** Whether an answer can be told to be to that entry. Those without a proper id are to what is no call. */
const hasId = (call) => isObject(call) && call.has('id') && call.get('id') !== null;

/** Answers put to entries by their ids, and those that no entry has asked for. */
function matchAnswers(entries, answers) {
  const left = [...answers];
  const found = new Map();
  const take = (same) => {
    for (const entry of entries) {
      if (found.has(entry) || !hasId(entry.call)) continue;
      const id = entry.call.get('id');
      const index = left.findIndex((answer) => hasId(answer) && same(answer.get('id'), id));
      if (index >= 0) found.set(entry, left.splice(index, 1)[0]);
    }
  };
  take((one, other) => writeJson(one) === writeJson(other));
  take((one, other) => idKey(one) === idKey(other)); // some servers make strings of ids
  return { found, left };
}

/** A batch as JSON, a call a line. */
const layOutBatch = (calls) => (calls.length === 0 ? '[]' : `[\n${calls.map((call) => `  ${writeJson(call, ' ')}`).join(',\n')}\n]`);

function makeBatch() {
  const entries = []; // {call}, as one object for each, so that an answer stays with its call
  let answer = null;
  let matched = { found: new Map(), left: [] };
  let raw = null; // the text, while it is edited as JSON
  let isBroken = false; // the text is no JSON: the entries are those before it

  const badge = byId('open-batch');
  const sendButton = h('button.button', { type: 'button', onclick: () => send() });
  const sender = makeSender(sendButton, 'Send batch');
  const rawButton = h('button.button', { type: 'button', 'aria-pressed': 'false', onclick: toggleRaw }, 'Edit as JSON');
  const clearButton = h('button.button.quiet', { type: 'button', onclick: clear }, 'Clear');
  const copier = copyButton('curl command', () => curl(body()), { words: 'Copy curl' });
  const count = h('p.lead');
  const lines = editor({ rows: 6, 'aria-label': 'Batch as JSON', oninput: readRaw });
  const complaint = h('p.complaint', { role: 'status' });
  const rawPanel = h('div.raw', { hidden: true }, lines.area, complaint);
  const outcome = h('p.batch-outcome');
  const list = h('ol.entries');
  const rest = h('div');
  const title = h('h1', { tabindex: '-1' }, 'Batch');
  const element = h('article.batch',
    h('header', h('div.title-line', title), count,
      h('div.actions', sendButton, rawButton, copier, h('span.spring'), clearButton)),
    rawPanel, outcome, list, rest);

  const body = () => raw ?? writeJson(entries.map((entry) => entry.call));

  function forget() {
    answer = null;
    matched = { found: new Map(), left: [] };
  }

  /** The entries are other ones, or in another order. */
  function changed() {
    if (raw !== null) {
      raw = layOutBatch(entries.map((entry) => entry.call));
      isBroken = false;
      lines.set(raw);
      complaint.textContent = '';
    }
    show();
  }

  function show() {
    const size = entries.length;
    const words = size === 1 ? '1 call' : `${size} calls`;
    fill(badge, 'Batch', h('span.badge', String(size)));
    badge.setAttribute('aria-label', `Batch, ${words}`);
    count.textContent = size ? `${words}, sent as one POST.` : 'Calls that you add are sent as one POST.';
    sendButton.disabled = copier.disabled = size === 0 && raw === null;
    clearButton.hidden = size === 0;
    fill(outcome, answer && outcomeLine(answer), answer && !isBroken && h('span', tally()));
    fill(list, isBroken ? [] : entries.map(row));
    fill(rest, size === 0 && raw === null && emptyState(), leftovers(), wire());
  }

  function tally() {
    const waiting = entries.filter((entry) => hasId(entry.call)).length;
    return `${matched.found.size} of ${waiting} answered`;
  }

  function emptyState() {
    return h('p.empty', 'Nothing here yet. Choose a method, fill in its parameters, and press ', h('strong', 'Add to batch'), '; or write the batch as JSON.');
  }

  // --- rows

  function row(entry, index) {
    const { call } = entry;
    const name = isObject(call) && call.get('method');
    const label = typeof name === 'string' ? name : 'no call';
    const act = (words, iconName, action, disabled) => iconButton(iconName, `${words} ${label}`, action, { disabled, 'data-act': words });
    const item = h('li.entry', { draggable: 'true', 'data-index': String(index) },
      h('div.entry-call',
        h('div.entry-head',
          h('span.grip', { 'aria-hidden': 'true' }, icon('grip')),
          typeof name === 'string' && methodNames.has(name)
            ? h('a.entry-name', { href: linkTo(name), onclick: () => openFrom(name, call), title: 'Open with these parameters' }, name)
            : h('span.entry-name', label),
          idChip(call),
          h('span.spring'),
          h('span.entry-actions',
            act('Move up', 'up', () => move(index, index - 1, 'Move up'), index === 0),
            act('Move down', 'down', () => move(index, index + 1, 'Move down'), index === entries.length - 1),
            act('Remove', 'close', () => remove(index)))),
        codeBlock(`Call ${index + 1}`, colored(callText(call)))),
      h('div.entry-answer', { 'aria-label': `Answer to call ${index + 1}`, role: 'group' }, answerOf(entry)));
    drag(item, index);
    return item;
  }

  const callText = (call) => (isObject(call) && typeof call.get('method') === 'string'
    ? (call.has('params') ? layOut(call.get('params')) : 'no params')
    : layOut(call));

  function idChip(call) {
    if (!isObject(call)) return null;
    return call.has('id') ? h('span.chip', `id ${writeJson(call.get('id'))}`) : h('span.chip', 'notification');
  }

  function answerOf(entry) {
    if (isObject(entry.call) && !entry.call.has('id')) return h('p.empty', 'No answer: a notification.');
    if (!hasId(entry.call)) return h('p.empty', 'No id that its answer could have.');
    if (matched.found.has(entry)) return answerView(matched.found.get(entry));
    return h('p.empty', answer ? 'No answer with this id.' : 'Not sent yet.');
  }

  /** An answer without what its call says already. */
  function answerView(response) {
    if (response.has('error')) {
      const error = response.get('error');
      const data = isObject(error) && error.get('data');
      if (!isObject(error)) return codeBlock('Answer', colored(layOut(response)));
      return [errorLine(error), data !== undefined && data !== null && codeBlock('Error data', colored(layOut(data)))];
    }
    return codeBlock('Answer', colored(layOut(response.has('result') ? response.get('result') : response)));
  }

  function leftovers() {
    if (!answer) return null;
    const value = answer.text ? maybeJson(answer.text) : undefined;
    const isBatch = Array.isArray(value);
    if (!isBatch) return h('section.leftovers', h('h2', 'Answer to the whole batch'), answerParts(answer));
    return matched.left.length > 0 && h('section.leftovers', h('h2', 'Answers with no id of a call'), matched.left.map(responseParts));
  }

  function wire() {
    return answer && h('details.wire', h('summary', 'Request and response as sent'),
      codeBlock('Request as sent', answer.body), codeBlock('Response as sent', (answer.text ?? '').slice(0, SHOWN)));
  }

  // --- changes

  function move(from, to, act) {
    if (to < 0 || to >= entries.length) return;
    entries.splice(to, 0, ...entries.splice(from, 1));
    changed();
    announce(`Moved to place ${to + 1} of ${entries.length}`);
    if (act) focusAct(to, act);
  }

  /** Keep the focus on the button that was used, or on one that can be. */
  function focusAct(index, act) {
    const item = list.children[index];
    const button = item?.querySelector(`[data-act="${act}"]:enabled`) ?? item?.querySelector('[data-act]:enabled');
    (button ?? title).focus();
  }

  function remove(index) {
    entries.splice(index, 1);
    changed();
    announce(`Removed; ${entries.length} left`);
    focusAct(Math.min(index, entries.length - 1), 'Remove');
  }

  function clear() {
    entries.length = 0;
    forget();
    changed();
    title.focus();
  }

  function drag(item, index) {
    item.addEventListener('dragstart', (event) => {
      if (event.target !== item) return;
      event.dataTransfer.effectAllowed = 'move';
      event.dataTransfer.setData('application/x-entry', String(index));
      item.classList.add('dragged');
    });
    item.addEventListener('dragend', () => item.classList.remove('dragged'));
    item.addEventListener('dragover', (event) => {
      if (event.dataTransfer.types.includes('application/x-entry')) event.preventDefault();
    });
    item.addEventListener('drop', (event) => {
      const from = event.dataTransfer.getData('application/x-entry');
      if (from === '') return;
      event.preventDefault();
      move(Number(from), index);
    });
  }

  // --- as JSON

  function toggleRaw() {
    raw = raw === null ? layOutBatch(entries.map((entry) => entry.call)) : null;
    rawPanel.hidden = raw === null;
    rawButton.setAttribute('aria-pressed', String(raw !== null));
    complaint.textContent = '';
    isBroken = false;
    if (raw !== null) {
      lines.set(raw);
      lines.area.focus();
    }
    show();
  }

  function readRaw() {
    raw = lines.area.value;
    complaint.textContent = '';
    isBroken = false;
    forget();
    try {
      const value = parseJson(raw);
      const calls = Array.isArray(value) ? value : [value];
      entries.splice(0, entries.length, ...calls.map((call) => ({ call })));
    } catch (error) {
      isBroken = true;
      complaint.textContent = `No JSON: ${error.message}. It can be sent as it stands.`;
    }
    show();
  }

  // --- sending

  async function send() {
    if (sendButton.disabled) return;
    const text = body();
    const asked = [...entries];
    const found = await sender.send(text);
    if (found === null) return;
    answer = found;
    const value = answer.text ? maybeJson(answer.text) : undefined;
    matched = matchAnswers(asked, Array.isArray(value) ? value : []);
    show();
    announce(answer.failure ?? `${answer.status}, ${isBroken ? 'answered' : tally()}, in ${seconds(answer.ms)}`);
  }

  show();
  return {
    title,
    element,
    send,
    cancel: sender.cancel,
    refresh() {},
    /** The first number that is no id yet. */
    freeId() {
      const taken = new Set(entries.map(({ call }) => isObject(call) && call.has('id') && idKey(call.get('id'))));
      let id = 1;
      while (taken.has(String(id))) id += 1;
      return id;
    },
    add(call) {
      entries.push({ call });
      forget();
      changed();
      announce(`Added to the batch, which has ${entries.length} now`);
      badge.classList.remove('bump');
      requestAnimationFrame(() => badge.classList.add('bump'));
    },
  };
}
