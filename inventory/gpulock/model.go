package gpulock

import (
	"slices"
	"strings"
)

// variants are words behind the number of a card that make it another card: an RTX 4070
// is no RTX 4070 Ti and no RTX 4070 Laptop GPU, an RTX 6000 no RTX 6000 Ada Generation.
// "Max-Q" is two words here. They are those of the names that the driver gives
// (github.com/NVIDIA/open-gpu-kernel-modules, src/nvidia/generated/g_nv_name_released.h).
// Words like "PCIe", "80GB" or "Blackwell" only say more of the same card.
func variants() []string {
	return []string{"ti", "super", "d", "v2", "laptop", "max", "mobile", "ada", "sff", "embedded", "oem", "se"}
}

// isModel tells whether a card's name has the model's words next to each other, and none
// behind them that makes it another card.
func isModel(name, model string) bool {
	words, wanted := modelWords(name), modelWords(model)
	if len(wanted) == 0 {
		return false
	}
	for i := 0; i+len(wanted) <= len(words); i++ {
		rest := words[i+len(wanted):]
		if slices.Equal(words[i:i+len(wanted)], wanted) && !slices.ContainsFunc(rest, func(w string) bool { return slices.Contains(variants(), w) }) {
			return true
		}
	}
	return false
}

func modelWords(text string) []string {
	return strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return r == ' ' || r == '-' || r == '\t' })
}

// likelyModel is what a model that a card's name does not have is most likely to mean: the
// words of the name that are the same but for spaces and dashes; empty where there are none.
func likelyModel(name, model string) string {
	words, wanted := strings.Fields(name), strings.Join(modelWords(model), "")
	for i := range words {
		for j := i + 1; j <= len(words); j++ {
			like := strings.Join(words[i:j], " ")
			if strings.Join(modelWords(like), "") == wanted && isModel(name, like) {
				return like
			}
		}
	}
	return ""
}
