// The chat page. Everything a server sends becomes text through textContent only.

import { ReconnectingSocket } from "./connection.js";

const SUBPROTOCOL = "chat.pywscore";
const MAX_SHOWN = 500;
const SAME_GROUP_SECONDS = 300;
const TYPING_AGAIN = 3_000;
const TYPING_EXPIRES = 6_000;
const PROBLEM_SHOWN = 5_000;
const SAY_AGAIN = 5_000;
const GIVE_UP = 60_000;

const $ = (id) => document.getElementById(id);
const log = $("log");
const text = $("text");

let socket = null;
let me = "";
let room = "";
let lastId = ""; // of the last message that is shown
let early = null; // what was told before the welcome
let users = new Map(); // id → name; who comes back may be there twice for a while
const unseen = new Map(); // key → {text, since}: said, and not come back yet
let unread = 0;
let following = true; // the end of the log is in view, and stays so
let lastGroup = null; // { name, time, element }: where a further message is added
let typingSentAt = 0;
const typists = new Map(); // name → timer
let stateTimer = 0;
let problemTimer = 0;

// Elements

function element(tag, className, content = "") {
  const node = document.createElement(tag);
  node.className = className;
  node.textContent = content;
  return node;
}

function hue(name) {
  let hash = 0;
  for (const char of name) hash = (hash * 31 + char.codePointAt(0)) >>> 0;
  return (hash * 137) % 360;
}

function avatar(name) {
  const [initial] = name;
  const node = element("span", "avatar", initial.toUpperCase());
  node.style.setProperty("--hue", hue(name));
  node.setAttribute("aria-hidden", "true");
  return node;
}

function timeStamp(seconds) {
  const date = new Date(seconds * 1000);
  const node = element("time", "time");
  node.textContent = date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  node.dateTime = date.toISOString();
  node.title = date.toLocaleString();
  return node;
}

// The log

function isAtEnd() {
  return log.scrollHeight - log.scrollTop - log.clientHeight < 80;
}

function scrollToEnd() {
  following = true;
  log.scrollTop = log.scrollHeight;
  $("jump").hidden = true;
}

function append(add, { mine = false } = {}) {
  following ||= mine;
  $("empty").hidden = true;
  add();
  while (log.children.length > MAX_SHOWN) log.children[1].remove(); // 0 is #empty
  if (following) scrollToEnd();
  else $("jump").hidden = false;
}

function showMessage({ name, text: said, time }) {
  const mine = name === me;
  append(() => {
    const joined =
      lastGroup?.name === name && time - lastGroup.time < SAME_GROUP_SECONDS;
    if (!joined) {
      const group = element("article", mine ? "group mine" : "group");
      const body = element("div", "bubbles");
      const head = element("p", "head");
      const author = element("strong", "author", name);
      author.dir = "auto";
      author.style.setProperty("--hue", hue(name));
      head.append(author, timeStamp(time));
      body.append(head);
      group.append(avatar(name), body);
      log.append(group);
      lastGroup = { name, time, element: body };
    }
    lastGroup.time = time;
    const bubble = element("p", "bubble", said);
    bubble.dir = "auto";
    bubble.title = new Date(time * 1000).toLocaleString();
    lastGroup.element.append(bubble);
  }, { mine });
}

function showNotice(content, kind = "") {
  append(() => {
    const notice = element("p", `notice ${kind}`, content);
    notice.dir = "auto";
    log.append(notice);
    lastGroup = null;
  });
}

function clearLog() {
  for (const node of [...log.children].slice(1)) node.remove();
  $("empty").hidden = false;
  lastGroup = null;
}

// People

function isHere(name) {
  return [...users.values()].includes(name);
}

function showUsers() {
  const names = [...new Set(users.values())];
  names.sort((a, b) => (b === me) - (a === me) || a.localeCompare(b));
  $("people-count").textContent = names.length;
  $("users").replaceChildren(
    ...names.map((name) => {
      const item = element("li", "user");
      const label = element("span", "user-name", name);
      label.dir = "auto";
      item.append(avatar(name), label);
      if (name === me) item.append(element("span", "you", "you"));
      return item;
    }),
  );
}

function setTyping(name, active) {
  clearTimeout(typists.get(name));
  typists.delete(name);
  if (active) {
    typists.set(name, setTimeout(() => setTyping(name, false), TYPING_EXPIRES));
  }
  const names = [...typists.keys()];
  let line = "";
  if (names.length === 1) line = `${names[0]} is typing…`;
  else if (names.length === 2) line = `${names[0]} and ${names[1]} are typing…`;
  else if (names.length > 2) line = `${names.length} people are typing…`;
  $("typing").textContent = line;
}

// What the server tells

const handlers = {
  welcome(event) {
    const isBack = me !== "";
    me = event.name;
    room = event.room;
    users = new Map(event.users.map(({ id, name }) => [id, name]));
    $("my-name").textContent = me;
    $("room-title").textContent = `# ${room}`;
    for (const name of [...typists.keys()]) setTyping(name, false);
    if (isBack) showNotice("You are back");
    showUsers();
    showTitle();
    if (!document.hidden) text.focus();
    const told = early;
    early = null;
    for (const one of told) handlers[one.type]?.(one);
    sayAgain();
  },
  message(event) {
    lastId = event.id;
    unseen.delete(event.key);
    setTyping(event.name, false);
    showMessage(event);
    if (document.hidden) {
      unread += 1;
      showTitle();
    }
  },
  gap({ count }) {
    const messages = count === 1 ? "message is" : "messages are";
    showNotice(`${count ?? "Some"} ${messages} missing here`, "gap");
  },
  join({ id, name }) {
    const isNew = !isHere(name);
    users.set(id, name);
    showUsers();
    if (isNew) showNotice(`${name} joined`);
  },
  leave({ id, name }) {
    if (!users.delete(id) || isHere(name)) return;
    setTyping(name, false);
    showUsers();
    showNotice(`${name} left`);
  },
  typing({ name, active }) {
    setTyping(name, active);
  },
  error(event) {
    showProblem(event.text);
  },
};

function showProblem(content) {
  clearTimeout(problemTimer);
  $("problem").textContent = content;
  problemTimer = setTimeout(() => ($("problem").textContent = ""), PROBLEM_SHOWN);
}

function showTitle() {
  const title = room ? `${room} · pywscore chat` : "pywscore chat";
  document.title = unread ? `(${unread}) ${title}` : title;
}

// The connection

function showState({ state, retryAt }) {
  clearInterval(stateTimer);
  const label = $("state-text");
  $("state").dataset.state = state;
  updateSend();
  if (state !== "waiting") {
    label.textContent = state === "online" ? "Connected" : "Connecting…";
    return;
  }
  users = new Map();
  showUsers();
  const count = () => {
    const seconds = Math.max(Math.ceil((retryAt - Date.now()) / 1000), 1);
    label.textContent = `Reconnecting in ${seconds} s`;
  };
  count();
  stateTimer = setInterval(count, 250);
}

function send(message) {
  return socket?.send(JSON.stringify(message)) ?? false;
}

// What didn't come back is said again, with the same key: it is published once.
function sayAgain() {
  if (early) return; // not before the welcome
  for (const [key, { text, since }] of unseen) {
    if (!send({ type: "message", text, key })) return;
    if (Date.now() - since < GIVE_UP) continue;
    unseen.delete(key);
    showProblem(`Not delivered: ${text}`);
  }
}

setInterval(sayAgain, SAY_AGAIN);

// A random key: of a message, or of this tab, which keeps its name by it.
function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function join(name, wantedRoom) {
  remember("name", name);
  remember("room", wantedRoom);
  rememberForTab("joined", "yes");
  history.replaceState(null, "", `?${new URLSearchParams({ room: wantedRoom || "lobby" })}`);
  // "." and ".." would be steps in the path, not names.
  const segment = /^\.{1,2}$/.test(name) ? "" : encodeURIComponent(name);
  const url = new URL(`ws/${segment}`, location.href);
  url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  const key = recall("key", () => sessionStorage) || newKey();
  rememberForTab("key", key);

  me = "";
  lastId = "";
  unseen.clear();
  clearLog();
  $("join-error").hidden = true;
  $("room-title").textContent = `# ${wantedRoom || "lobby"}`;
  $("my-name").textContent = name || "Anonymous";
  $("welcome").hidden = true;
  $("app").hidden = false;

  socket = new ReconnectingSocket(() => {
    early = [];
    url.search = new URLSearchParams({ room: wantedRoom, key, since: lastId });
    return url.href;
  }, SUBPROTOCOL);
  socket.addEventListener("state", ({ detail }) => showState(detail));
  socket.addEventListener("message", ({ detail }) => {
    const event = JSON.parse(detail.data);
    if (early && event.type !== "welcome") early.push(event);
    else handlers[event.type]?.(event);
  });
  socket.addEventListener("refused", ({ detail }) => leave(detail.reason));
  socket.open();
  text.focus();
}

function leave(reason = "") {
  socket?.close();
  socket = null;
  clearInterval(stateTimer);
  for (const name of [...typists.keys()]) setTyping(name, false);
  rememberForTab("joined", "");
  room = "";
  unread = 0;
  showTitle();
  $("app").hidden = true;
  $("welcome").hidden = false;
  $("join-error").textContent = reason;
  $("join-error").hidden = !reason;
  $("name").focus();
}

// Storage may be switched off: then nothing is remembered, and nothing breaks.

function remember(key, value, storage = () => localStorage) {
  try {
    storage().setItem(`pywscore.${key}`, value);
  } catch {}
}

function rememberForTab(key, value) {
  remember(key, value, () => sessionStorage);
}

function recall(key, storage = () => localStorage) {
  try {
    return storage().getItem(`pywscore.${key}`) ?? "";
  } catch {
    return "";
  }
}

// What the person does

function updateSend() {
  $("send").disabled = !(socket?.isOpen && text.value.trim());
}

function fitText() {
  text.style.height = "auto";
  text.style.height = `${text.scrollHeight + 2}px`;
}

text.addEventListener("input", () => {
  fitText();
  updateSend();
  if (!text.value.trim()) {
    if (typingSentAt) send({ type: "typing", active: false });
    typingSentAt = 0;
  } else if (Date.now() - typingSentAt > TYPING_AGAIN) {
    typingSentAt = Date.now();
    send({ type: "typing", active: true });
  }
});

text.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  $("composer").requestSubmit();
});

$("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  const said = text.value.trim();
  if (!said) return;
  if (!socket?.isOpen) {
    showProblem("Not connected. Your message stays here until you are.");
    return;
  }
  const key = newKey();
  unseen.set(key, { text: said, since: Date.now() });
  if (!early) send({ type: "message", text: said, key }); // or in its turn
  typingSentAt = 0;
  text.value = "";
  fitText();
  updateSend();
});

$("join-form").addEventListener("submit", (event) => {
  event.preventDefault();
  join($("name").value.trim(), $("room").value.trim());
});

$("leave").addEventListener("click", () => leave());
$("jump").addEventListener("click", scrollToEnd);
log.addEventListener("scroll", () => {
  following = isAtEnd();
  if (following) $("jump").hidden = true;
});
// Less room, as with a keyboard on the screen, must not hide the newest message.
new ResizeObserver(() => following && scrollToEnd()).observe(log);

$("people-toggle").addEventListener("click", () => {
  const open = $("app").classList.toggle("people-open");
  $("people-toggle").setAttribute("aria-expanded", open);
});

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && $("app").classList.contains("people-open")) {
    $("people-toggle").click();
  }
});

document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  unread = 0;
  showTitle();
});

const query = new URLSearchParams(location.search);
$("name").value = query.get("name") ?? recall("name");
$("room").value = query.get("room") ?? recall("room");
if (query.get("name") || recall("joined", () => sessionStorage)) {
  join($("name").value.trim(), $("room").value.trim());
} else {
  $("name").focus();
}
