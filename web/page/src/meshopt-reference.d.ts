/** The decoder that is plain JavaScript; the package itself offers WebAssembly alone by name. */
declare module "meshopt-reference" {
  export const MeshoptDecoder: {
    supported: boolean;
    ready: Promise<void>;
    decodeGltfBuffer(
      target: Uint8Array, count: number, size: number, source: Uint8Array, mode: string, filter?: string,
    ): void;
  };
}
