/**
 * Writes recipes/data/quickstart-chat/{train,test}.jsonl: short conversations of nine skills that
 * a model of less than a million parameters learns in minutes. Nothing is copied from elsewhere;
 * equal seeds give equal bytes. A test row's combination of items and phrasing is never trained.
 *
 *     node scripts/generate-quickstart-chat.js
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const SEED = 2;
const TRAIN_ROWS = 620;
const TEST_ROWS = 40;
/** Share of the rows that follow another exchange, as in a longer chat. */
const FOLLOW_UP_SHARE = 0.1;

/** Seeded generator (mulberry32): uniform draws in [0, 1). */
function randomDraws(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

const words = (text) => text.trim().split(/\s+/);
const pairs = (text) => words(text).map((pair) => pair.split("/"));

// Common short words for lists, each one token. Few, so that each is seen often: copying a word
// from the question is learned word by word.
const THINGS = words(`
  apple ball bird boat book bread bridge car chair cloud coat cup desk dog door egg fish flower
  fox garden gold grass hat hill horse house key knife lake lamp letter milk moon mouse paper
  rain ring river road rose ship shoe snow star stone street sun table tree wall
`);

const OPPOSITES = pairs(`
  hot/cold big/small up/down left/right day/night black/white open/closed fast/slow old/young
  happy/sad high/low light/dark good/bad full/empty rich/poor strong/weak wet/dry early/late
  loud/quiet near/far long/short win/lose buy/sell true/false first/last love/hate come/go
  give/take north/south east/west
`);

const CATEGORIES = {
  animal: words("lion tiger horse dog cat cow sheep wolf"),
  fruit: words("apple pear plum cherry banana orange grape lemon"),
  color: words("red blue green yellow black white brown pink"),
  drink: words("water milk tea coffee juice beer wine cider"),
  job: words("doctor teacher farmer baker sailor soldier lawyer judge"),
  furniture: words("table chair bed desk sofa shelf bench stool"),
};

const CAPITALS = pairs(`
  France/Paris England/London Spain/Madrid Italy/Rome Germany/Berlin Russia/Moscow Japan/Tokyo
  China/Beijing Egypt/Cairo Greece/Athens Austria/Vienna Poland/Warsaw Portugal/Lisbon
  Ireland/Dublin Norway/Oslo Sweden/Stockholm Cuba/Havana Peru/Lima Canada/Ottawa Kenya/Nairobi
`);

const NAMES = words(`
  Anna Ben Clara David Emma Frank Grace Henry Ida Jack Kate Leo Mary Nora Oscar Paul Rosa Sam Tom
  Vera
`);

const PREFIXES = ["", "", "", "Please: ", "Tell me: ", "Question: "];

const chars = {
  lowerFirst: (text) => text[0].toLowerCase() + text.slice(1),
  /** As many people type: small letters, nothing at the end. */
  casual: (text) => chars.lowerFirst(text).replace(/[?.!]$/, ""),
};

/**
 * Each skill draws a conversation and its `key`: what is held out. Questions end with what they
 * ask about, so that it stands at a fixed distance from the answer: rotary positions let a small
 * model find it there long before it learns to search.
 */
function makeSkills(random) {
  const below = (n) => Math.floor(random() * n);
  const pick = (list) => list[below(list.length)];
  const shuffled = (list) => {
    const order = [...list];
    for (let i = order.length - 1; i > 0; i--) {
      const j = below(i + 1);
      [order[i], order[j]] = [order[j], order[i]];
    }
    return order;
  };
  const distinct = (list, n) => {
    const chosen = new Set();
    while (chosen.size < n) chosen.add(pick(list));
    return [...chosen];
  };

  /** A question in one of its spellings: with a prefix, or casually typed. */
  const spelled = (question) =>
    random() < 0.1 ? chars.casual(question) : pick(PREFIXES) + question;
  const ask = (question, answer) => [
    { role: "user", content: question },
    { role: "assistant", content: answer },
  ];

  /** A skill whose items are looked up: every (item, phrasing) is a combination. */
  const lookup = (items, phrasings) => {
    const combinations = items.flatMap(({ fill, answer }) =>
      phrasings.map((phrasing) => ({ question: phrasing.replace("#", fill), answer })),
    );
    return () => {
      const { question, answer } = pick(combinations);
      return { key: question, messages: ask(spelled(question), answer) };
    };
  };

  const opposites = OPPOSITES.flatMap(([a, b]) => [
    { fill: a, answer: b },
    { fill: b, answer: a },
  ]);
  const singleOpposite = lookup(opposites, [
    "What is the opposite of #?",
    "Opposite of #?",
    "Give the opposite of #.",
    "Which word is the opposite of #?",
    "Name the opposite of #.",
    "Tell me the opposite of #.",
  ]);

  const numberItems = (from, to, step) =>
    Array.from({ length: to - from + 1 }, (_, i) => ({
      fill: String(from + i),
      answer: String(from + i + step),
    }));
  const after = lookup(numberItems(0, 29, 1), [
    "What number comes after #?",
    "Which number follows #?",
    "Count on from #.",
    "Next number after #?",
  ]);
  const before = lookup(numberItems(1, 30, -1), [
    "What number comes before #?",
    "Which number is just before #?",
    "Count back from #.",
  ]);

  const listSkill = (phrasings, answerOf) => () => {
    const list = distinct(THINGS, 3);
    const question = pick(phrasings).replace("#", list.join(", "));
    return { key: list.join(" "), messages: ask(spelled(question), answerOf(list)) };
  };
  const first = listSkill(
    ["What is the first word: #?", "Which word comes first: #?", "Give the first word: #."],
    (list) => `It is ${list[0]}.`,
  );
  const last = listSkill(
    ["What is the last word: #?", "Which word comes last: #?", "Give the last word: #."],
    (list) => `It is ${list.at(-1)}.`,
  );

  const greetings = [
    "Hi, I am #.",
    "Hello, my name is #.",
    "My name is #.",
    "I am #.",
    "Hey, call me #.",
    "Good morning, my name is #.",
  ];
  const nameQuestions = ["What is my name?", "Who am I?", "Do you know my name?", "Say my name."];

  return {
    opposite: () => {
      if (random() < 0.8) return singleOpposite();
      // The second turn leans on the first.
      const [one, two] = distinct(opposites, 2);
      return {
        key: `${one.fill} ${two.fill}`,
        messages: [
          ...ask(`What is the opposite of ${one.fill}?`, one.answer),
          ...ask(spelled(`And of ${two.fill}?`), two.answer),
        ],
      };
    },
    category: lookup(
      Object.entries(CATEGORIES).flatMap(([answer, members]) =>
        members.map((fill) => ({ fill, answer })),
      ),
      [
        "What kind of thing is #?",
        "What category is #?",
        "Category of #?",
        "Name the category of #.",
        "Which group has the word #?",
        "What do we call things like #?",
      ],
    ),
    capital: lookup(
      CAPITALS.map(([fill, answer]) => ({ fill, answer })),
      [
        "What is the capital of #?",
        "Capital of #?",
        "Name the capital of #.",
        "Which city is the capital of #?",
        "Tell me the capital of #.",
        "Give the capital city of #.",
      ],
    ),
    next_number: () => (random() < 0.6 ? after() : before()),
    larger: () => {
      const [a, b] = distinct(
        Array.from({ length: 20 }, (_, i) => i + 1),
        2,
      );
      const question = pick([
        `Which is larger, ${a} or ${b}?`,
        `Larger number: ${a} or ${b}?`,
        `What is more, ${a} or ${b}?`,
      ]);
      const key = `${Math.min(a, b)} ${Math.max(a, b)}`;
      return { key, messages: ask(spelled(question), `It is ${Math.max(a, b)}.`) };
    },
    pick: () => (random() < 0.5 ? first() : last()),
    repeat: listSkill(
      ["Repeat: #.", "Say again: #.", "Copy this: #."],
      (list) => `You said ${list.join(", ")}.`,
    ),
    reverse: listSkill(
      ["Reverse: #.", "Say backwards: #.", "Turn around: #."],
      (list) => `Backwards: ${[...list].reverse().join(", ")}.`,
    ),
    name: () => {
      const name = pick(NAMES);
      const greeting = pick(greetings).replace("#", name);
      const hello = ask(greeting, `Hello, ${name}!`);
      if (random() < 0.3) return { key: greeting, messages: hello };
      const question = pick(nameQuestions);
      return {
        key: `${greeting} ${question}`,
        messages: [...hello, ...ask(spelled(question), `Your name is ${name}.`)],
      };
    },
    shuffled,
  };
}

/** Returns the texts of train.jsonl and test.jsonl. */
export function generate(seed = SEED) {
  const random = randomDraws(seed);
  const { shuffled, ...skills } = makeSkills(random);
  const train = [];
  const test = [];
  for (const [skill, draw] of Object.entries(skills)) {
    const held = new Map();
    while (held.size < TEST_ROWS) {
      const { key, messages } = draw();
      held.set(key, { messages, skill });
    }
    test.push(...held.values());
    const prompts = new Set();
    let misses = 0;
    for (let rows = 0; rows < TRAIN_ROWS;) {
      const { key, messages } = draw();
      const prompt = JSON.stringify(messages.slice(0, -1));
      // Skills with few combinations repeat a prompt rather than never reach their share.
      if (held.has(key) || (prompts.has(prompt) && misses++ < TRAIN_ROWS)) continue;
      prompts.add(prompt);
      train.push({ messages, skill });
      rows++;
    }
  }
  const greetings = ["Hi", "Hi!", "Hello", "Hello!", "Hey", "Hey!", "Good morning!", "hi", "hello"];
  for (const content of [...greetings, ...greetings, ...greetings]) {
    const answer = { role: "assistant", content: "Hello! What is your name?" };
    train.push({ messages: [{ role: "user", content }, answer], skill: "name" });
  }
  // Shuffled: the first rows, or every n-th, are then a fair sample of all skills.
  return { train: toLines(shuffled(train), random), test: toLines(shuffled(test), random) };
}

/** One row per line; some rows follow an exchange of the row before them. */
function toLines(rows, random) {
  return rows
    .map(({ messages, skill }, i) => {
      const earlier = rows[(i + rows.length - 1) % rows.length].messages;
      const follows = random() < FOLLOW_UP_SHARE && earlier.length === 2 && messages.length === 2;
      return JSON.stringify({ messages: follows ? [...earlier, ...messages] : messages, skill });
    })
    .map((line) => line + "\n")
    .join("");
}

const script = fileURLToPath(import.meta.url);

/** Where the files are kept. */
export const directory = join(dirname(dirname(script)), "recipes/data/quickstart-chat");

if (process.argv[1] === script) {
  mkdirSync(directory, { recursive: true });
  for (const [split, text] of Object.entries(generate())) {
    const file = join(directory, `${split}.jsonl`);
    writeFileSync(file, text);
    console.log(`${file}: ${text.split("\n").length - 1} rows, ${text.length} bytes`);
  }
}
