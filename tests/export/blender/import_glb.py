"""Import a GLB in Blender and print its shape keys and the turn of its head over time as JSON; run by Blender's Python.

Turns are matrices from rest, in glTF's axes: Blender's z is up and its -y ahead.
"""

import json
import sys

import bpy
from mathutils import Matrix

path, fps, n_frames = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
bpy.ops.wm.read_factory_settings(use_empty=True)
bpy.context.scene.render.fps = fps
bpy.ops.import_scene.gltf(filepath=path)
(mesh,) = [thing for thing in bpy.data.objects if thing.type == "MESH" and thing.data.shape_keys]
blocks = mesh.data.shape_keys.key_blocks
(skeleton,) = [thing for thing in bpy.data.objects if thing.type == "ARMATURE"]
bone = skeleton.pose.bones["Head"]
axes = Matrix(((1, 0, 0), (0, 0, -1), (0, 1, 0)))
values, turns = [], []
for frame in range(n_frames):
    bpy.context.scene.frame_set(frame)
    values.append({block.name: block.value for block in blocks})
    turn = (skeleton.matrix_world @ bone.matrix @ bone.bone.matrix_local.inverted()).to_3x3()
    turns.append([list(row) for row in axes.inverted() @ turn @ axes])
print("RESULT " + json.dumps({"names": [block.name for block in blocks], "values": values, "turns": turns}))
