package ollama

// Spec is Ollama in one container. The zero value is its server without a model.
type Spec struct {
	// Version of the release; empty means DefaultVersion.
	Version string `json:"version,omitempty"`
	// SHA256 of the release's archive, in hexadecimal; empty takes the one that the release
	// itself has in sha256sum.txt, which tells of a broken download and of nothing else.
	SHA256 string `json:"sha256,omitempty"`
	// Host is the address to listen on; empty means all of IPv4.
	Host string `json:"host,omitempty"`
	// Port to listen on; 0 means 11434.
	Port int `json:"port,omitempty"`
	// Models that must be there: "llama3.2", "qwen3:8b". Others stay.
	Models []string `json:"models,omitempty"`
	// ModelsDir is where models are; empty means /var/lib/ollama/models. Any other must be
	// writable for the user ollama.
	ModelsDir string `json:"models_dir,omitempty"`
	// KeepAlive is how long a model stays in memory after its last use: "10m", "-1" for
	// ever; empty leaves it to Ollama.
	KeepAlive string `json:"keep_alive,omitempty"`
	// Environment are variables of the server: OLLAMA_NUM_PARALLEL.
	Environment map[string]string `json:"environment,omitempty"`
}
