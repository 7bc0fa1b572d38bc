"""BibTeX of the papers that more than one metric comes from."""

GUO_2022 = """\
@inproceedings{guo2022generating,
  title = {Generating Diverse and Natural 3D Human Motions From Text},
  author = {Guo, Chuan and Zou, Shihao and Zuo, Xinxin and Wang, Sen and Ji, Wei and Li, Xingyu and Cheng, Li},
  booktitle = {IEEE/CVF Conference on Computer Vision and Pattern Recognition},
  year = {2022}
}
"""

GUO_2020 = """\
@inproceedings{guo2020action2motion,
  title = {Action2Motion: Conditioned Generation of 3D Human Motions},
  author = {Guo, Chuan and Zuo, Xinxin and Wang, Sen and Zou, Shihao and Sun, Qingyao and Deng, Annan and Gong, Minglun
            and Cheng, Li},
  booktitle = {ACM International Conference on Multimedia},
  year = {2020}
}
"""
