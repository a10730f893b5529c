// JSON Schemas of the document: in words, as a tree to open, and as a first value to edit.

const service = JSON.parse(byId('document').textContent);
const REFERENCE = '#/components/schemas/';

/** What a schema is, wherever it stands. */
function resolve(schema) {
  let found = schema ?? {};
  for (let hops = 0; found.$ref !== undefined && hops < 16; hops += 1) {
    const name = found.$ref.slice(REFERENCE.length);
    found = service.components?.schemas?.[name] ?? {};
  }
  return found;
}

const isNull = (schema) => schema.type === 'null';

/** The alternatives of a schema; itself if it has none. */
const alternatives = (schema) => schema.anyOf ?? schema.oneOf ?? [schema];

/** The schema without null, and whether null is one of its values. */
function splitNull(schema) {
  const all = alternatives(schema);
  const others = all.filter((one) => !isNull(one));
  if (others.length === all.length || others.length === 0) {
    const values = schema.enum ?? [];
    return { schema, nullable: isNull(schema) || values.includes(null) };
  }
  return { schema: others.length === 1 ? others[0] : { ...schema, anyOf: others }, nullable: true };
}

/** The values of an enumeration or a constant, or null. */
function choicesOf(schema) {
  const found = resolve(schema);
  if ('const' in found) return [found.const];
  return found.enum ?? null;
}

const CHOICES_SHOWN = 8;

/** A type in words: `array of Item`, `string or null`. */
function typeName(schema) {
  const choices = choicesOf(schema);
  if (choices !== null) {
    const shown = choices.slice(0, CHOICES_SHOWN).map((value) => JSON.stringify(value));
    return [...shown, ...(choices.length > CHOICES_SHOWN ? ['…'] : [])].join(' | ');
  }
  if (schema.$ref !== undefined) return schema.$ref.slice(REFERENCE.length);
  if (schema.anyOf ?? schema.oneOf) return alternatives(schema).map(typeName).join(' or ');
  if (schema.type === 'array') return arrayName(schema);
  if (schema.type === 'object' && isSchema(schema.additionalProperties)) return `object of ${typeName(schema.additionalProperties)}`;
  if (Array.isArray(schema.type)) return schema.type.join(' or ');
  return schema.title ?? schema.type ?? 'anything';
}

const isSchema = (value) => typeof value === 'object' && value !== null;

function arrayName(schema) {
  if (schema.prefixItems) return `[${schema.prefixItems.map(typeName).join(', ')}]`;
  if (!isSchema(schema.items) || Object.keys(schema.items).length === 0) return 'array';
  const items = typeName(schema.items);
  return `array of ${items.includes(' or ') ? `(${items})` : items}`;
}

const BOUNDS = {
  minimum: (value) => `≥ ${value}`,
  exclusiveMinimum: (value) => `> ${value}`,
  maximum: (value) => `≤ ${value}`,
  exclusiveMaximum: (value) => `< ${value}`,
  multipleOf: (value) => `multiple of ${value}`,
  minLength: (value) => `at least ${value} long`,
  maxLength: (value) => `at most ${value} long`,
  minItems: (value) => `at least ${value} items`,
  maxItems: (value) => `at most ${value} items`,
  pattern: (value) => `like ${value}`,
  format: (value) => value,
  contentEncoding: (value) => value,
};

/** What else is said of a value: its bounds, its format. */
function boundsOf(schema) {
  const found = splitNull(resolve(schema)).schema;
  return Object.entries(BOUNDS).filter(([name]) => name in found).map(([name, say]) => say(found[name]));
}

/** The type of a value and its bounds, in one line. */
function typeLine(schema) {
  const bounds = boundsOf(schema);
  return h('span.type', typeName(schema), bounds.length > 0 && h('span.bounds', ` · ${bounds.join(', ')}`));
}

/** The schemas in a schema that have members of their own to show. */
function membersIn(schema, hops = 0) {
  const found = resolve(schema);
  if (hops > 8) return [];
  if (found.properties && Object.keys(found.properties).length > 0) return [found];
  const inside = [
    ...(found.anyOf ?? found.oneOf ?? []),
    ...(found.prefixItems ?? []),
    ...[found.items, found.additionalProperties].filter(isSchema),
  ];
  return inside.flatMap((one) => membersIn(one, hops + 1));
}

/** The members of what a schema describes, to be opened; null if it has none. */
function schemaTree(schema, words = 'Members') {
  const kinds = [...new Set(membersIn(schema))];
  if (kinds.length === 0) return null;
  const body = h('div.schema-body');
  // Filled when opened, since a type may have itself as a member.
  const open = () => {
    if (body.childElementCount === 0) add(body, kinds.map((kind) => memberList(kind, kinds.length > 1)));
  };
  return h('details.schema', { ontoggle: open }, h('summary', words), body);
}

function memberList(schema, named) {
  const required = new Set(schema.required ?? []);
  return [
    named && h('p.schema-name', schema.title ?? 'object'),
    schema.description && h('p.note', schema.description),
    h('ul.members', Object.entries(schema.properties).map(([name, member]) => h('li',
      h('div.field-head',
        h('code.name', name),
        typeLine(member),
        required.has(name) && h('span.required', 'required'),
        'default' in member && h('span.default', 'default ', h('code', writeJson(toJson(member.default))))),
      resolve(member).description && !membersIn(member).length && h('p.note', resolve(member).description),
      schemaTree(member)))),
  ];
}

const SAMPLES = { string: '', integer: 0, number: 0, boolean: false, null: null };

/** A value to begin with: what must be there, and nothing more. */
function sample(schema, hops = 0) {
  const found = resolve(schema);
  if ('default' in found) return found.default;
  const choices = choicesOf(found);
  if (choices !== null) return choices[0];
  if (found.anyOf ?? found.oneOf) return sample(alternatives(found)[0], hops + 1);
  if (found.type === 'array') return (found.prefixItems ?? []).map((one) => sample(one, hops + 1));
  if (found.type !== 'object' || hops > 6) return SAMPLES[found.type] ?? null;
  const members = (found.required ?? []).filter((name) => found.properties?.[name]);
  return Object.fromEntries(members.map((name) => [name, sample(found.properties[name], hops + 1)]));
}
