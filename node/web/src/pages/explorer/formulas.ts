/**
 * What each kind of op computes, in the words of nexus_chain/program/OPERATORS.md, which is what binds. A kind that
 * is missing here is shown by its name alone.
 */
export const FORMULAS: Readonly<Record<string, string>> = {
  embed: "out[t, c] = sat(table[token[t], c] << shift)",
  row_max: "A = max(1, max |x[start:stop]|)",
  row_squares: "h = max(0, bl(A) − 23);  S = Σ (min(max(x, −A), A) >> h)²",
  norm_scale: "N = max(1, S + (ε >> 2h));  R = isqrt(N << 2t);  (m, e) = q16(A, R)",
  row_scale: "(m, e) = scale16(A)",
  quantise: "q = Q(x[start:stop], A, levels(bits))",
  linear: "acc = Σₖ q[k] · W[n, k];  v = sat(rs(rs(acc · m, 12) · M[n], −(e + eps[n] + fraction + 12)))",
  rope_quantise: "a' = sat(rs(a·c − b·s, 15));  b' = sat(rs(b·c + a·s, 15));  q = Q(·, A, 127)",
  value_quantise: "v_max = max(1, max |y|);  v = Q(y, v_max, 127)",
  value_layout: "v_columns[g, d, t] = v[t, g, d]",
  attention: "out[t, h·D + d] = sat(Σ_b rs(B_b[d] · m_b, 21 − e_b)),  p_j = exp2n(max s − s_j)",
  silu_product: "out = sat(rs(rs(g · σ(g), 23) · u, 12))",
  sample_blocks: "key_v = sat(rs(logit_v · β, 12)) + G_v;  the largest key of each block",
  sample: "token = the index of the largest block maximum",
  position_embed: "out[t, c] = sat(x[t, c] + (table[t, c] << shift))",
  normalise: "v = sat(rs(rs(Q(y, A, 16383) · m, 12) · gain[c], 6 − e))",
  gelu: "out = sat(rs(x · Φ(x), 23))",
  row_layout: "out[c, t] = x[t, c]",
  prefix_mean: "out[t, c] = (Σ_{j ≤ t} x[c, j]) // (t + 1)",
  route: "gate_s = ((p_s << 16) + (Z >> 1)) // Z,  p_s = exp2n(L₀ − L_s)",
  expert_linear: "x = index[t, slot];  v = linear(q, W_x, scale_x)",
  sequence: "sequence = prompt ‖ sampled tokens",
  input: "the rows that enter the segment",
};
