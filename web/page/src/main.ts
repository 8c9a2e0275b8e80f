/** The page: a head that talks. */

import { Conversation, K, type Mood, type Reply } from "exomni-client";
import { HeadChoice, chooseTheme, feel, openCards } from "./cards";
import { Chat } from "./chat";
import { Composer } from "./composer";
import { byId } from "./dom";
import { Life } from "./life";
import { Panel } from "./panel";
import { Server } from "./server";
import { Stage } from "./stage";

const MOODS: Record<Mood, string> = { idle: "", listening: "Listening", thinking: "Thinking", speaking: "Speaking" };

const server = new Server(location.href);
const conversation = new Conversation(server.realtimeUrl);
const life = new Life();
const chat = new Chat(conversation, server);
const composer = new Composer(conversation);
const panel = new Panel();
let lastReply: Reply | null = null;

chooseTheme();
openCards();
feel(conversation, life);
tellTheConnection();
conversation.on("reply", (reply) => (lastReply = reply));
conversation.on("error", ({ message, code }) => composer.notify(code === "server_busy" ? "" : message));
const stage = openStage();
if (stage) void new HeadChoice(stage, server).choose("woman");
follow();
void server.findFormats();
conversation.connect();

// For whoever embeds or tests the page: what it talks through and what it shows.
Object.assign(window, { exomni: { conversation, stage, life } });

/** Draws the head from now on; null, with a word to the person, where the browser cannot. */
function openStage(): Stage | null {
  try {
    const stage = new Stage(byId<HTMLCanvasElement>("view"));
    const frame = new Float32Array(K);
    stage.run((nowS, passedS) => {
      const moment = conversation.now();
      const { mood } = conversation;
      const speaks = moment !== null && moment.reply.face.at(moment.seconds, frame);
      life.update(nowS, passedS, mood, speaks ? frame : null, moment?.level ?? 0);
      stage.head?.show(life.weights, life.pose);
      panel.update(nowS, life.weights, lastReply, stage.fps);
    });
    return stage;
  } catch {
    composer.notify("This browser has no WebGL, so there is no head; words and voice work.");
    return null;
  }
}

/** Words follow the voice at the screen's own rate, however slowly the head is drawn. */
function follow(): void {
  chat.follow(conversation.now());
  showMood(conversation.mood);
  if (stage) stage.working = conversation.mood === "thinking";
  requestAnimationFrame(follow);
}

function showMood(mood: Mood): void {
  const element = byId("mood");
  composer.show(mood);
  if (element.dataset["mood"] === mood) return;
  element.dataset["mood"] = mood;
  if (mood !== "idle") element.textContent = MOODS[mood];
}

function tellTheConnection(): void {
  const element = byId("connection");
  let wasOpen = false;
  conversation.on("connection", ({ state, retryS }) => {
    element.dataset["state"] = state;
    const again = retryS === null ? "" : `, trying again in ${Math.ceil(retryS)} s`;
    element.textContent = {
      connecting: "connecting",
      open: "connected",
      busy: `the server is busy${again}`,
      lost: `no connection${again}`,
      refused: "refused: is the address with its token complete?",
      closed: "closed",
    }[state];
    if (state === "open" && wasOpen) composer.notify("Connected again. The server starts a new conversation.");
    wasOpen ||= state === "open";
  });
}
