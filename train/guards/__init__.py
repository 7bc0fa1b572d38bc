"""Guards: one Trainer callback for each known way in which training goes wrong without stopping by itself.

    collapse          reward, its spread, entropy, KL or length leave what training began with
    thoughts          thoughts that say what the motion does not do
    motion_tokens     motion tokens the model cannot tell apart, or does not use
    tasks             one task paying for the other
    reward_balance    one reward deciding alone
    reward_gaming     the judge that rewards and the judge that does not drifting apart

A guard measures every `guard_every` steps, logs its readings as `guard/<name>/<figure>` with all other logs
(`report_to`), warns when a figure is out of bounds, and, if it may and the figure stays there, ends training with the
last good checkpoint kept. None draws random numbers that training draws from. A loss or weights that are not finite
end every stage by themselves (`train.engine.stages.StageTrainer`), a reward that is not finite when it is computed
(`RecordedReward`).
"""
