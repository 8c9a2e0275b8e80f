/** What goes over the WebSocket: OpenAI's Realtime events (GA names) and a few of our own; see docs/protocol.md. */

import type { FaceEncoding } from "./codec.js";

/** Samples a second of all audio, both ways. */
export const SAMPLE_HZ = 24_000;

export type EmotionName = "anger" | "disgust" | "sadness" | "joy" | "fear";
export const EMOTIONS: readonly EmotionName[] = ["joy", "sadness", "anger", "fear", "disgust"];
export type Emotion = Record<EmotionName, number>;

/** Our own options, `session.exomni`. */
export interface FaceOptions {
  /** Colour of the face, each in 0..1; null reads it from the words. */
  emotion?: Emotion | null;
  /** Of the voice. */
  speed?: number;
  seed?: number;
  face_encoding?: FaceEncoding;
}

export interface TurnDetection {
  type: "server_vad";
  threshold?: number;
  prefix_padding_ms?: number;
  silence_duration_ms?: number;
  create_response?: boolean;
  interrupt_response?: boolean;
}

export interface SessionPatch {
  type?: "realtime";
  instructions?: string;
  output_modalities?: ["audio"] | ["text"];
  max_output_tokens?: number | "inf";
  audio?: { input?: { turn_detection?: TurnDetection | null } };
  exomni?: FaceOptions;
}

export interface ContentPart {
  type: "input_text" | "input_audio" | "output_text" | "output_audio";
  text?: string | null;
  audio?: string | null;
  transcript?: string | null;
}

export interface Item {
  id?: string | null;
  type: "message";
  role: "user" | "assistant" | "system";
  content: ContentPart[];
  status?: "completed" | "incomplete" | "in_progress";
}

export type ClientEvent = { event_id?: string } & (
  | { type: "session.update"; session: SessionPatch }
  | { type: "input_audio_buffer.append"; audio: string }
  | { type: "input_audio_buffer.commit" }
  | { type: "input_audio_buffer.clear" }
  | { type: "conversation.item.create"; item: Item; previous_item_id?: string }
  | { type: "conversation.item.truncate"; item_id: string; content_index: number; audio_end_ms: number }
  | { type: "conversation.item.delete"; item_id: string }
  | { type: "response.create"; response?: Record<string, unknown> }
  | { type: "response.cancel"; response_id?: string }
);

export type ResponseStatus = "in_progress" | "completed" | "incomplete" | "cancelled" | "failed";

export interface ResponseBody {
  id: string;
  status: ResponseStatus;
  status_details?: { reason?: string; error?: { message?: string } } | null;
}

export interface ErrorBody {
  type: string;
  code?: string | null;
  message: string;
  event_id?: string | null;
  /** Of a busy server: seconds until it is worth trying again. */
  retry_after?: number | null;
}

interface InReply {
  response_id: string;
  item_id: string;
}

/** A piece of the face, sent before the audio that it belongs to. */
export interface FaceDelta extends InReply {
  type: "exomni.face.delta";
  start_sample: number;
  start_frame: number;
  fps: number;
  /** Columns of the frames; in a response's first piece alone. */
  names?: string[] | null;
  encoding: FaceEncoding;
  /** Base64, N x 52. */
  frames: string;
}

/** A word and where it is heard, in samples of the response's speech. */
export interface SpokenWord {
  text: string;
  start_sample: number;
  end_sample: number;
}

/** The words of the next clause, sent before its speech. */
export interface CaptionDelta extends InReply {
  type: "exomni.caption.delta";
  start_sample: number;
  end_sample: number;
  words: SpokenWord[];
}

export type ServerEvent = { event_id: string } & (
  | { type: "session.created" | "session.updated"; session: Record<string, unknown> & { id?: string } }
  | { type: "input_audio_buffer.speech_started"; audio_start_ms: number; item_id: string }
  | { type: "input_audio_buffer.speech_stopped"; audio_end_ms: number; item_id: string }
  | { type: "input_audio_buffer.committed"; item_id: string; previous_item_id?: string | null }
  | { type: "conversation.item.input_audio_transcription.completed"; item_id: string; transcript: string }
  | { type: "conversation.item.input_audio_transcription.failed"; item_id: string; error: ErrorBody }
  | { type: "response.created" | "response.done"; response: ResponseBody }
  | ({ type: "response.output_text.delta" | "response.output_audio_transcript.delta"; delta: string } & InReply)
  | ({ type: "response.output_audio.delta"; delta: string } & InReply)
  | ({ type: "response.output_audio.done" } & InReply)
  | FaceDelta
  | CaptionDelta
  | { type: "error"; error: ErrorBody }
);

const TYPES: ReadonlySet<string> = new Set<ServerEvent["type"]>([
  "session.created", "session.updated", "input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped",
  "input_audio_buffer.committed", "conversation.item.input_audio_transcription.completed",
  "conversation.item.input_audio_transcription.failed", "response.created", "response.done",
  "response.output_text.delta", "response.output_audio_transcript.delta",
  "response.output_audio.delta", "response.output_audio.done", "exomni.face.delta", "exomni.caption.delta", "error",
]);

/**
 * A server's message, or null where it is one that this client has no use for.
 *
 * @throws SyntaxError where it is no JSON object with a type.
 */
export function parseServerEvent(text: string): ServerEvent | null {
  const event: unknown = JSON.parse(text);
  if (typeof event !== "object" || event === null || typeof (event as ServerEvent).type !== "string") {
    throw new SyntaxError("a message of the server has no type");
  }
  return TYPES.has((event as ServerEvent).type) ? (event as ServerEvent) : null;
}
