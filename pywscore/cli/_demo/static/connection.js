// A WebSocket that comes back: exponential back-off with jitter, and a state to show.

const FIRST_DELAY = 500;
const MAX_DELAY = 15_000;
// A connection that lived so long was a good one: the next delay starts small again.
const STABLE_AFTER = 3_000;
const NORMAL_CLOSURE = 1000;
const POLICY_VIOLATION = 1008;

export class ReconnectingSocket extends EventTarget {
  #url;
  #protocol;
  #socket = null;
  #failures = 0;
  #retryTimer = 0;
  #openedAt = 0;
  #ended = false;

  // `url` is a function: what it gives may be another one at each attempt.
  // Events: "state" {state, retryAt}, "message" {data}, "refused" {reason}.
  constructor(url, protocol) {
    super();
    this.#url = url;
    this.#protocol = protocol;
    addEventListener("online", this.#retryNow);
    document.addEventListener("visibilitychange", this.#retryNow);
  }

  get isOpen() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  open() {
    clearTimeout(this.#retryTimer);
    this.#retryTimer = 0;
    this.#tell("state", { state: "connecting" });
    const socket = new WebSocket(this.#url(), this.#protocol);
    this.#socket = socket;
    socket.onopen = () => {
      this.#openedAt = performance.now();
      this.#tell("state", { state: "online" });
    };
    socket.onmessage = (event) => this.#tell("message", { data: event.data });
    socket.onclose = (event) => this.#onClose(event);
  }

  send(text) {
    if (!this.isOpen) return false;
    this.#socket.send(text);
    return true;
  }

  close() {
    this.#ended = true;
    clearTimeout(this.#retryTimer);
    removeEventListener("online", this.#retryNow);
    document.removeEventListener("visibilitychange", this.#retryNow);
    this.#socket?.close(NORMAL_CLOSURE);
  }

  #onClose(event) {
    if (this.#ended) return;
    if (event.code === POLICY_VIOLATION) {
      this.close();
      this.#tell("refused", { reason: event.reason });
      return;
    }
    const stable = this.#openedAt && performance.now() - this.#openedAt > STABLE_AFTER;
    this.#failures = stable ? 0 : this.#failures + 1;
    this.#openedAt = 0;
    const longest = Math.min(FIRST_DELAY * 2 ** this.#failures, MAX_DELAY);
    // Jitter: a restarted server is not met by everybody in the same moment.
    const delay = longest * (0.5 + Math.random() / 2);
    this.#retryTimer = setTimeout(() => this.open(), delay);
    this.#tell("state", { state: "waiting", retryAt: Date.now() + delay, reason: event.reason });
  }

  #retryNow = () => {
    if (this.#retryTimer && navigator.onLine && !document.hidden) this.open();
  };

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
