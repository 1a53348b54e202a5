package inventory

// migWord is the pattern of the schema for the one word that nvidia.mig takes in place of a
// list; migHint says what can be written there.
const (
	migWord = "^off$"
	migHint = `"off" for a whole card, or a list of profiles: ["3g.20gb", "1g.5gb"], [] for MIG without an instance`
)
