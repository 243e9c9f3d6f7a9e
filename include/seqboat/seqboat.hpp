#pragma once

/// SeqBoat, built from the public DSL: EMA, gated attention, layer, classifiers, language model.

#include <seqboat/classifier.hpp>
#include <seqboat/ema.hpp>
#include <seqboat/gated_attention.hpp>
#include <seqboat/language_model.hpp>
#include <seqboat/layer.hpp>
#include <seqboat/positions.hpp>
