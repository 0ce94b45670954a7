// Form `cut_out_of_heads`: The first heads, and one kv head among several.
// Read as: full, 2 heads over 1 kv heads, scale 1
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 63,63],
// CHECK: torch.operator "torch.hyper.attention"(query = {{%[^,]+}}, key = {{%[^,]+}}, value = {{%[^,]+}}, algorithm = "exact") : (!torch.vtensor<[2,2,63,40],f32>, !torch.vtensor<[2,1,63,40],f32>, !torch.vtensor<[2,1,63,40],f32>)
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 63,63],
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[2,4,63,40],f32>, %arg1: !torch.vtensor<[2,4,63,40],f32>, %arg2: !torch.vtensor<[2,4,63,40],f32>) -> !torch.vtensor<[2,2,63,40],f32> {
    %int1 = torch.constant.int 1
    %int0 = torch.constant.int 0
    %int2 = torch.constant.int 2
    %0 = torch.aten.slice.Tensor %arg0, %int1, %int0, %int2, %int1 : !torch.vtensor<[2,4,63,40],f32>, !torch.int, !torch.int, !torch.int, !torch.int -> !torch.vtensor<[2,2,63,40],f32>
    %1 = torch.aten.slice.Tensor %arg1, %int1, %int0, %int1, %int1 : !torch.vtensor<[2,4,63,40],f32>, !torch.int, !torch.int, !torch.int, !torch.int -> !torch.vtensor<[2,1,63,40],f32>
    %2 = torch.aten.slice.Tensor %arg2, %int1, %int0, %int1, %int1 : !torch.vtensor<[2,4,63,40],f32>, !torch.int, !torch.int, !torch.int, !torch.int -> !torch.vtensor<[2,1,63,40],f32>
    %3:2 = torch.operator "torch.hyper.attention"(query = %0, key = %1, value = %2, algorithm = "exact") : (!torch.vtensor<[2,2,63,40],f32>, !torch.vtensor<[2,1,63,40],f32>, !torch.vtensor<[2,1,63,40],f32>) -> (!torch.vtensor<[2,2,63,40],f32>, !torch.vtensor<[2,2,63],f32>) 
    return %3#0 : !torch.vtensor<[2,2,63,40],f32>
  }
}
