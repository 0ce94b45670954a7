// Form `numpy_names`: torch takes numpy's names of parameters too.
// Read as: full, 4 heads, scale 0.125
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 63,63],
// CHECK: torch.operator "torch.hyper.attention"(query = {{%[^,]+}}, key = {{%[^,]+}}, value = {{%[^,]+}}, scale = 0.125, algorithm = "exact") : (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>)
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 63,63],
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[2,4,63,40],f32>, %arg1: !torch.vtensor<[2,4,63,40],f32>, %arg2: !torch.vtensor<[2,4,63,40],f32>) -> !torch.vtensor<[2,4,63,40],f32> {
    %int3 = torch.constant.int 3
    %int0 = torch.constant.int 0
    %int20 = torch.constant.int 20
    %int1 = torch.constant.int 1
    %0 = torch.aten.slice.Tensor %arg0, %int3, %int0, %int20, %int1 : !torch.vtensor<[2,4,63,40],f32>, !torch.int, !torch.int, !torch.int, !torch.int -> !torch.vtensor<[2,4,63,20],f32>
    %int9223372036854775807 = torch.constant.int 9223372036854775807
    %1 = torch.aten.slice.Tensor %arg0, %int3, %int20, %int9223372036854775807, %int1 : !torch.vtensor<[2,4,63,40],f32>, !torch.int, !torch.int, !torch.int, !torch.int -> !torch.vtensor<[2,4,63,20],f32>
    %2 = torch.prim.ListConstruct %0, %1 : (!torch.vtensor<[2,4,63,20],f32>, !torch.vtensor<[2,4,63,20],f32>) -> !torch.list<vtensor>
    %int-1 = torch.constant.int -1
    %3 = torch.aten.cat %2, %int-1 : !torch.list<vtensor>, !torch.int -> !torch.vtensor<[2,4,63,40],f32>
    %4:2 = torch.operator "torch.hyper.attention"(query = %arg1, key = %3, value = %arg2, scale = 0.125, algorithm = "exact") : (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>) -> (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63],f32>) 
    return %4#0 : !torch.vtensor<[2,4,63,40],f32>
  }
}
