"""HumanML3D from the AMASS archives: `python -m datasets_scripts.build --source amass`.

Data flows one way: `annotations` (which clips, with which captions) and `archives` (where their files are) ->
`motion` (a file to the joints of its clips) -> `layout` (the published folders, resumable) -> `report`.
"""
