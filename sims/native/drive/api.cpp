// The version of this interface: a library of another version of haltere is refused.
extern "C" __attribute__((visibility("default"))) int haltere_drive_abi() { return 1; }
