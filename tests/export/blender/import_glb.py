"""Import a GLB in Blender and print its shape keys' values over time as JSON; run by Blender's Python."""

import json
import sys

import bpy

path, fps, n_frames = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
bpy.ops.wm.read_factory_settings(use_empty=True)
bpy.context.scene.render.fps = fps
bpy.ops.import_scene.gltf(filepath=path)
(mesh,) = [thing for thing in bpy.data.objects if thing.type == "MESH" and thing.data.shape_keys]
blocks = mesh.data.shape_keys.key_blocks
values = []
for frame in range(n_frames):
    bpy.context.scene.frame_set(frame)
    values.append({block.name: block.value for block in blocks})
print("RESULT " + json.dumps({"names": [block.name for block in blocks], "values": values}))
