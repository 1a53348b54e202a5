package vllm

import (
	"encoding/json"

	"phoenix/tasks/secret"
)

// Spec is vLLM in one container. Without a model, it is installed and serves nothing: what
// a template has.
type Spec struct {
	// Version of vLLM, exact; empty means DefaultVersion.
	Version string `json:"version,omitempty"`
	// Python is the interpreter that the environment is made with; empty means python3.
	Python string `json:"python,omitempty"`
	// Venv is the folder of the environment; empty means /opt/vllm/venv.
	Venv string `json:"venv,omitempty"`
	// Device is "cuda" (also when empty), which needs the feature nvidia, or "cpu".
	Device string `json:"device,omitempty"`
	// Packages of Python beside vLLM: "name==version", or "name".
	Packages []string `json:"packages,omitempty"`
	// IndexURL replaces the index of PyPI; ExtraIndexURL is asked beside it. For the CPU
	// it is vLLM's own where it is empty.
	IndexURL      string `json:"index_url,omitempty"`
	ExtraIndexURL string `json:"extra_index_url,omitempty"`
	// Model is a name on Hugging Face or an absolute path in the container.
	Model string `json:"model,omitempty"`
	// ServedModelName is how clients call it; empty means Model.
	ServedModelName string `json:"served_model_name,omitempty"`
	// TensorParallelSize is over how many GPUs the model is spread; 0 leaves it to vLLM: 1.
	TensorParallelSize int `json:"tensor_parallel_size,omitempty"`
	// GPUMemoryUtilization is the share of each GPU's memory; 0 leaves it to vLLM: 0.9.
	GPUMemoryUtilization float64 `json:"gpu_memory_utilization,omitempty"`
	// MaxModelLen is the longest context in tokens; 0 leaves it to the model.
	MaxModelLen int `json:"max_model_len,omitempty"`
	// DType is the type of the weights: auto, bfloat16, …; empty leaves it to vLLM.
	DType string `json:"dtype,omitempty"`
	// Quantization is the method that the weights are in; empty leaves it to the model.
	Quantization string `json:"quantization,omitempty"`
	// TrustRemoteCode runs code that comes with the model.
	TrustRemoteCode bool `json:"trust_remote_code,omitempty"`
	// Host is the address to listen on; empty means all of IPv4.
	Host string `json:"host,omitempty"`
	// Port to listen on; 0 means 8000.
	Port int `json:"port,omitempty"`
	// Arguments are any others by their name: true is a bare flag, false and null are left
	// out, a list becomes several words, an object one word of JSON.
	Arguments map[string]json.RawMessage `json:"arguments,omitempty"`
	// ExtraArguments are words that are put at the end as they are.
	ExtraArguments []string `json:"extra_arguments,omitempty"`
	// Environment are variables of the service.
	Environment map[string]string `json:"environment,omitempty"`
	// HFToken opens gated models on Hugging Face.
	HFToken *secret.Ref `json:"hf_token,omitempty"`
	// APIKey is what clients must send; nil lets everybody in.
	APIKey *secret.Ref `json:"api_key,omitempty"`
	// HFHome is where models are kept; empty means /var/lib/vllm/huggingface.
	HFHome string `json:"hf_home,omitempty"`
	// DownloadDir is where weights alone are kept; empty means in HFHome.
	DownloadDir string `json:"download_dir,omitempty"`
	// ReadyTimeoutS is how long a run waits for the model to be served, in seconds; 0 means
	// half an hour.
	ReadyTimeoutS int `json:"ready_timeout_s,omitempty"`
}
