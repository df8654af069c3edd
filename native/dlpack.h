// The parts of the DLPack ABI, version 1, through which tensors come from and go to another library, and the
// table of functions with which that library offers to do so from C (`__dlpack_c_exchange_api__`, version
// 1.3): a call costs tens of nanoseconds where the Python protocol costs a microsecond.
#pragma once

#include <cstdint>

namespace fastlstm::dlpack {

constexpr int32_t kCpu = 1;               // device type
constexpr uint8_t kFloat = 2, kBool = 6;  // type codes
constexpr uint32_t kMajor = 1;            // of the version

struct Device {
  int32_t type, index;
};
struct DataType {
  uint8_t code, bits;
  uint16_t lanes;
};
struct Tensor {
  void* data;
  Device device;
  int32_t dimensions;
  DataType type;
  int64_t* shape;
  int64_t* strides;  // in values; null: row-major and dense
  uint64_t byte_offset;
};
struct Version {
  uint32_t major, minor;
};
struct ManagedTensor {
  Version version;
  void* context;
  void (*deleter)(ManagedTensor*);
  uint64_t flags;
  Tensor tensor;
};

struct Exchange {
  Version version;
  Exchange* previous;
  int (*allocate)(Tensor* prototype, ManagedTensor** out, void* context,
                  void (*set_error)(void*, const char*, const char*));
  int (*managed_from_python)(void* object, ManagedTensor** out);
  int (*to_python)(ManagedTensor* tensor, void** object);  // takes the tensor over
  int (*from_python)(void* object, Tensor* out);           // borrows; may be null
  int (*current_stream)(int32_t device_type, int32_t device, void** stream);
};

}  // namespace fastlstm::dlpack
