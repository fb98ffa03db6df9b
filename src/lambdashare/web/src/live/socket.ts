// One WebSocket for the page: topics, reconnects with back-off, pings against the gateway's idle limit.
import { signal } from "@preact/signals";
import type { LiveMessage } from "../api/types";
import { delayMs } from "../upload/retry";

const PING_MS = 4 * 60_000;

type Listener = (message: LiveMessage) => void;

export class Live {
  /** False only after a connection was lost or refused, so that a page need not flicker while it opens. */
  readonly connected = signal(true);
  readonly #url: string;
  readonly #topics = new Map<string, Set<Listener>>();
  #socket: WebSocket | null = null;
  #attempt = 0;
  #ping = 0;

  constructor(url: string) {
    this.#url = url;
  }

  /** `subscribed` comes first, after every reconnect again, and carries the state of that moment. */
  subscribe(topic: string, listener: Listener): () => void {
    const listeners = this.#topics.get(topic) ?? new Set();
    listeners.add(listener);
    this.#topics.set(topic, listeners);
    if (!this.#socket) this.#open();
    else this.#send({ action: "subscribe", topic });
    return () => this.#unsubscribe(topic, listener);
  }

  #unsubscribe(topic: string, listener: Listener): void {
    const listeners = this.#topics.get(topic);
    listeners?.delete(listener);
    if (listeners?.size !== 0) return;
    this.#topics.delete(topic);
    this.#send({ action: "unsubscribe", topic });
  }

  #open(): void {
    const socket = new WebSocket(this.#url);
    this.#socket = socket;
    socket.onopen = () => {
      this.#attempt = 0;
      this.connected.value = true;
      for (const topic of this.#topics.keys()) this.#send({ action: "subscribe", topic });
      this.#ping = window.setInterval(() => this.#send({ action: "ping" }), PING_MS);
    };
    socket.onmessage = (event: MessageEvent<string>) => this.#hear(event.data);
    socket.onclose = () => this.#lost();
  }

  #lost(): void {
    clearInterval(this.#ping);
    this.#socket = null;
    if (this.#topics.size === 0) return;
    this.connected.value = false;
    setTimeout(() => {
      if (!this.#socket && this.#topics.size > 0) this.#open();
    }, delayMs(this.#attempt++));
  }

  #hear(text: string): void {
    const message = JSON.parse(text) as LiveMessage;
    const topic = "topic" in message ? message.topic : undefined;
    if (topic === undefined) return;
    for (const listener of [...(this.#topics.get(topic) ?? [])]) listener(message);
  }

  #send(message: { action: string; topic?: string }): void {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }
}

export const live = new Live(
  `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/live`,
);
