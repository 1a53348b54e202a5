package lxc

import (
	"strings"
	"testing"
)

// smiList and smiXML are what nvidia-smi of 535 says of a machine with two cards, one of
// them divided.
const (
	smiList = "GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-00000000-0000-0000-0000-000000000001)\n" +
		"  MIG 3g.20gb     Device  0: (UUID: MIG-7089d0f3-293f-58c9-8f8c-5ea666eedbde)\n" +
		"  MIG 1g.5gb+me   Device  3: (UUID: MIG-c7384736-a75d-5afc-978f-d2f1294409fd)\n" +
		"GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-00000000-0000-0000-0000-000000000002)\n"
	smiXML = "<gpu id=\"00000000:07:00.0\">\n\t<mig_devices>\n\t\t<mig_device>\n\t\t\t<index>0</index>\n\t\t\t<gpu_instance_id>1</gpu_instance_id>\n\t\t\t<compute_instance_id>0</compute_instance_id>\n\t\t</mig_device>\n" +
		"\t\t<mig_device>\n\t\t\t<index>3</index>\n\t\t\t<gpu_instance_id>9</gpu_instance_id>\n\t\t\t<compute_instance_id>2</compute_instance_id>\n\t\t</mig_device>\n\t</mig_devices>\n" +
		"\t<processes>\n\t\t<process_info>\n\t\t\t<gpu_instance_id>13</gpu_instance_id>\n\t\t\t<process_name>python3</process_name>\n\t\t</process_info>\n\t</processes>\n</gpu>\n<gpu id=\"00000000:0F:00.0\">\n\t<mig_devices>\n\t\tNone\n\t</mig_devices>\n</gpu>\n"
)

func TestInstancesAreFoundByTheirIndex(t *testing.T) {
	list := listed(smiList)
	if d := list["MIG-c7384736-a75d-5afc-978f-d2f1294409fd"]; len(list) != 2 || d.card != "GPU-00000000-0000-0000-0000-000000000001" || d.index != "3" {
		t.Errorf("listed %v", list)
	}
	numbers, err := numbered(smiXML)
	if d := numbers["0000:07:00.0 3"]; err != nil || len(numbers) != 2 || d.gi != 9 || d.ci != 2 {
		t.Errorf("numbered %v, %v", numbers, err)
	}
}

// TestAProcessCannotSayWhichInstanceIsWhose: its command line is printed as it is.
func TestAProcessCannotSayWhichInstanceIsWhose(t *testing.T) {
	const lie = "python3\n<gpu id=\"00000000:0F:00.0\">\n<mig_devices>\n<mig_device>\n<index>0</index>\n<gpu_instance_id>1</gpu_instance_id>\n<compute_instance_id>0</compute_instance_id>\n"
	if got, err := numbered(strings.Replace(smiXML, "python3", lie, 1)); err == nil {
		t.Errorf("believed: %v", got)
	}
	got, err := numbered(strings.Replace(smiXML, "python3", "python3\n<index>3</index>\n<gpu_instance_id>1</gpu_instance_id>", 1))
	if d := got["0000:07:00.0 3"]; err != nil || d.gi != 9 {
		t.Errorf("got %v, %v", got, err)
	}
}

func FuzzInstances(f *testing.F) {
	f.Add(smiList, smiXML)
	f.Fuzz(func(t *testing.T, list, xml string) {
		for id := range listed(list) {
			if canonMIG(id) != id || !strings.Contains(strings.ToLower(list), strings.ToLower(id[4:])) {
				t.Errorf("%q is read from %q", id, list)
			}
		}
		numbers, err := numbered(xml)
		for at, d := range numbers {
			if err != nil || d.gi < -1 && d.ci < -1 || !strings.Contains(at, " ") {
				t.Errorf("%q is read as %v", xml, numbers)
			}
		}
	})
}
