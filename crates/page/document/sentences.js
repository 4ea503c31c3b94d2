// What servers say of themselves (findings, reasons, failures) in the reader's language. They say it in English; SENTENCES pairs each sentence with its
// translation. `{name}` stands for what differs each time, which may be a sentence of the list itself, and `{n}` and `{tenths}` for digits.
const PATTERNS = SENTENCES.map(([text, translation]) => {
  const pieces = text.split(/\{(\w+)\}/);
  return { fixed: pieces.filter((_, i) => i % 2 === 0), names: pieces.filter((_, i) => i % 2 === 1), translation };
});

const isDigits = (text) => /^[\d.]+$/.test(text);

// The values that stand in a text where a pattern has names; null if it is another sentence. Each value ends where the next fixed piece begins first.
function valuesOf({ fixed, names }, text) {
  const last = fixed[fixed.length - 1];
  if (!text.startsWith(fixed[0]) || !text.endsWith(last)) return null;
  const values = {};
  let at = fixed[0].length;
  for (let i = 0; i < names.length; i++) {
    const end = i === names.length - 1 ? text.length - last.length : text.indexOf(fixed[i + 1], at);
    if (end < at) return null;
    const value = text.slice(at, end);
    if ((names[i] === "n" || names[i] === "tenths") && !isDigits(value)) return null;
    values[names[i]] = value;
    at = end + fixed[i + 1].length;
  }
  return at === text.length ? values : null;
}

// The translation, or null. Values are at most a few sentences deep.
function translated(text, depth = 0) {
  if (depth > 4 || !text) return null;
  for (const pattern of PATTERNS) {
    const values = valuesOf(pattern, text);
    if (!values) continue;
    return pattern.translation.replace(/\{(\w+)\}/g, (_, name) => translated(values[name], depth + 1) ?? values[name]);
  }
  return null;
}

// A server's words for the reader, and in which language they are if that is not the page's.
function heard(text) {
  if (language !== "zh" || !text) return { text, lang: null };
  const translation = translated(text);
  return { text: translation ?? text, lang: translation == null ? "en" : null };
}
