// Parameters as a form: a field for each, a control that suits its type. What is not simple is written as JSON.

class Complaint extends Error {}

/** A control: its element, what was put in (throws Complaint), and whether it can show a value. */
function makeControl(schema, id, describedBy) {
  const { schema: inner, nullable } = splitNull(resolve(schema));
  const found = resolve(inner);
  const properties = { id, 'aria-describedby': describedBy };
  const choices = choicesOf(found);
  if (choices !== null) return choiceControl(nullable ? [...new Set([...choices, null])] : choices, properties);
  if (found.type === 'boolean') return choiceControl(nullable ? [true, false, null] : [true, false], properties);
  const plain = { string: textControl, integer: numberControl, number: numberControl }[found.type];
  if (!plain) return jsonControl(schema, properties);
  const control = plain(found, properties);
  return nullable ? nullControl(control) : control;
}

function choiceControl(values, properties) {
  const texts = values.map((value) => writeJson(toJson(value)));
  const words = values.map((value, index) => (typeof value === 'string' && value !== '' ? value : texts[index]));
  const select = h('select', properties, words.map((word, index) => h('option', { value: String(index) }, word)));
  return {
    element: select,
    read: () => toJson(values[Number(select.value)]),
    write(value) {
      const index = texts.indexOf(writeJson(value));
      if (index >= 0) select.value = String(index);
      return index >= 0;
    },
  };
}

function textControl(schema, properties) {
  const lines = editor({ ...properties, class: 'text' });
  return {
    element: lines.area,
    read: () => lines.area.value,
    write(value) {
      if (typeof value !== 'string') return false;
      lines.set(value);
      return true;
    },
  };
}

function numberControl(schema, properties) {
  const isInteger = schema.type === 'integer';
  const input = h('input.code', { ...properties, type: 'text', inputmode: isInteger ? 'numeric' : 'decimal', autocomplete: 'off' });
  return {
    element: input,
    read() {
      const value = maybeJson(input.value.trim());
      const text = value === undefined ? '' : writeJson(value);
      if (!/^-?\d/.test(text) || (isInteger && !/^-?\d+$/.test(text))) {
        throw new Complaint(isInteger ? 'An integer is expected.' : 'A number is expected.');
      }
      return value;
    },
    write(value) {
      if (typeof value !== 'number' && !(value instanceof Literal)) return false;
      input.value = writeJson(value);
      return true;
    },
  };
}

function jsonControl(schema, properties) {
  const lines = editor({ ...properties, rows: 2 });
  return {
    element: lines.area,
    read() {
      try {
        return parseJson(lines.area.value);
      } catch (error) {
        throw new Complaint(`No JSON: ${error.message}.`);
      }
    },
    write(value) {
      lines.set(layOut(value));
      return true;
    },
  };
}

/** A control with a box to tick that makes it null. */
function nullControl(control) {
  const box = h('input', { type: 'checkbox', onchange: show });
  function show() {
    control.element.disabled = box.checked;
  }
  return {
    element: h('div.with-null', control.element, h('label.check', box, h('code', 'null'))),
    focus: control.element,
    read: () => (box.checked ? null : control.read()),
    write(value) {
      box.checked = value === null;
      show();
      return value === null || control.write(value);
    },
  };
}

/** One parameter: its words, its control, and for one that may be left out, whether it is sent. */
function makeField(param, changed) {
  const id = freshId('param');
  const notes = { description: `${id}-words`, complaint: `${id}-complaint` };
  const control = makeControl(param.schema, id, `${notes.description} ${notes.complaint}`);
  const box = param.required ? null : h('input.include', {
    type: 'checkbox', 'aria-label': `Send ${param.name}`, title: `Send ${param.name}`, onchange: () => edited(),
  });
  const complaint = h('p.complaint', { id: notes.complaint });
  const target = control.focus ?? control.element;
  const fallback = toJson(sample(param.schema));
  const field = h('div.field', { 'data-name': param.name },
    h('div.field-head',
      box,
      h('label', { for: id }, h('code.name', param.name)),
      typeLine(param.schema),
      param.required && h('span.required', 'required'),
      'default' in param.schema && h('span.default', 'default ', h('code', writeJson(toJson(param.schema.default))))),
    h('div.words', { id: notes.description }, prose(param.description ?? resolve(param.schema).description)),
    control.element,
    complaint,
    schemaTree(param.schema));

  function include(yes) {
    if (box) box.checked = yes;
    field.classList.toggle('left-out', !(box?.checked ?? true));
  }
  function complain(text) {
    complaint.textContent = text;
    target.toggleAttribute('aria-invalid', text !== '');
  }
  function edited() {
    include(box?.checked ?? true);
    complain('');
    changed();
  }
  control.element.addEventListener('input', () => {
    if (box) box.checked = true;
    edited();
  });
  if (fallback !== undefined && (fallback !== null || control.focus)) control.write(fallback);
  if (param.required && target.tagName === 'INPUT') target.value = '';
  include(param.required);
  return {
    param,
    element: field,
    complain,
    focus: () => target.focus(),
    isSent: () => box?.checked ?? true,
    read: control.read,
    leaveOut: () => include(false),
    write(value) {
      include(true);
      complain('');
      return control.write(value);
    },
  };
}

/** Params from the values of fields: by name, or by position if the method wants it or has `*args`. */
function joinParams(method, values) {
  const spread = (kind) => method.params.find((one) => one['x-spread'] && resolve(one.schema).type === kind);
  const rest = spread('array');
  const more = spread('object');
  if (values.size === 0) return undefined;
  if (method.paramStructure === 'by-position' || (rest && values.get(rest.name)?.length)) {
    return byPosition(method.params.filter((one) => one !== rest && one !== more), values, rest);
  }
  const params = new Map([...values].filter(([name]) => name !== rest?.name && name !== more?.name));
  for (const [name, value] of (more && values.get(more.name)) ?? []) params.set(name, value);
  return params.size > 0 ? params : undefined;
}

function byPosition(params, values, rest) {
  const extra = (rest && values.get(rest.name)) ?? [];
  const last = extra.length ? params.length : params.findLastIndex((one) => values.has(one.name)) + 1;
  const given = params.slice(0, last).map((one) => {
    if (values.has(one.name)) return values.get(one.name);
    if ('default' in one.schema) return toJson(one.schema.default);
    throw new Complaint(`${one.name} has to be sent too: what follows it goes by position.`);
  });
  return [...given, ...extra];
}

/** The fields for params that were written otherwise. Throws Complaint for what no field has room for. */
function splitParams(method, params) {
  const values = new Map();
  const spread = method.params.filter((one) => one['x-spread']);
  const single = method.params.filter((one) => !one['x-spread']);
  const into = (kind, name, content) => {
    const found = spread.find((one) => resolve(one.schema).type === kind);
    if (!found) throw new Complaint(`The form has no field for ${name}.`);
    values.set(found.name, content);
  };
  if (params === undefined) return values;
  if (!isObject(params) && !Array.isArray(params)) throw new Complaint('Params are an array or an object.');
  if (Array.isArray(params)) {
    params.slice(0, single.length).forEach((value, index) => values.set(single[index].name, value));
    if (params.length > single.length) into('array', `number ${single.length + 1}`, params.slice(single.length));
    return values;
  }
  const names = new Set(single.map((one) => one.name));
  const unknown = [...params].filter(([name]) => !names.has(name));
  for (const [name, value] of params) if (names.has(name)) values.set(name, value);
  if (unknown.length) into('object', unknown[0][0], new Map(unknown));
  return values;
}

/** All parameters of a method, as a form or as JSON. `changed` is called when there is another value. */
function makeForm(method, changed) {
  const fields = method.params.map((param) => makeField(param, changed));
  const lines = editor({ rows: 6, 'aria-label': 'Params as JSON', oninput: changed, placeholder: 'Nothing: the call has no params' });
  const complaint = h('p.complaint', { role: 'status' });
  const asForm = h('div.fields', fields.map((field) => field.element));
  const asJson = h('div.raw', lines.area);
  let mode = 'form';
  const tabs = segments('Edit params as', { form: 'Form', json: 'JSON' }, choose);
  asJson.hidden = true;

  function readForm(strict) {
    const values = new Map();
    let first = null;
    for (const field of fields.filter((one) => one.isSent())) {
      try {
        values.set(field.param.name, field.read());
      } catch (error) {
        if (!(error instanceof Complaint)) throw error;
        if (strict) field.complain(error.message);
        first ??= field;
      }
    }
    if (strict && first) {
      first.focus();
      throw new Complaint('');
    }
    return joinParams(method, values);
  }

  function readJson() {
    if (lines.area.value.trim() === '') return undefined;
    try {
      return parseJson(lines.area.value);
    } catch (error) {
      throw new Complaint(`No JSON: ${error.message}.`);
    }
  }

  function choose(wanted) {
    complaint.textContent = '';
    if (wanted === mode) return;
    try {
      if (wanted === 'json') {
        const params = readForm(false);
        lines.set(params === undefined ? '' : layOut(params));
      } else {
        writeForm(splitParams(method, readJson()));
      }
    } catch (error) {
      if (!(error instanceof Complaint)) throw error;
      complaint.textContent = error.message;
      return;
    }
    show(wanted);
  }

  function show(wanted) {
    mode = wanted;
    tabs.show(mode);
    asForm.hidden = mode !== 'form';
    asJson.hidden = mode !== 'json';
    changed();
  }

  function writeForm(values) {
    for (const field of fields) {
      const { name } = field.param;
      if (!values.has(name)) field.leaveOut();
      else if (!field.write(values.get(name))) throw new Complaint(`The form cannot show this value of ${name}.`);
    }
  }

  return {
    tabs: tabs.element,
    element: h('div', asForm, asJson, complaint),

    /** The params, undefined for none. Throws Complaint, which is shown already; `strict`: also for one field. */
    read(strict) {
      complaint.textContent = '';
      try {
        return mode === 'form' ? readForm(strict) : readJson();
      } catch (error) {
        if (error instanceof Complaint) complaint.textContent = error.message;
        throw error;
      }
    },

    /** Show params that came from elsewhere. */
    write(params) {
      lines.set(params === undefined ? '' : layOut(params));
      try {
        writeForm(splitParams(method, params));
        show('form');
      } catch (error) {
        if (!(error instanceof Complaint)) throw error;
        show('json');
      }
    },

    /** Show what the server says of fields: `{field: [sentences]}`. */
    complain(data) {
      for (const field of fields) field.complain('');
      if (!isObject(data)) return;
      for (const [path, sentences] of data) {
        const field = fields.find(({ param }) => path === param.name || path.startsWith(`${param.name}.`) || path.startsWith(`${param.name}[`));
        if (!field || !Array.isArray(sentences)) continue;
        const where = path === field.param.name ? '' : `${path}: `;
        field.complain(where + sentences.filter((one) => typeof one === 'string').join(', '));
      }
    },
  };
}
