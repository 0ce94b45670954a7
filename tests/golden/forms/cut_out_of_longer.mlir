// Form `cut_out_of_longer`: A static cache: K cut after it was transposed, V before; nothing may read past the cut.
// Read as: full, 4 heads, scale 1
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 63,63],
// CHECK: torch.operator "torch.hyper.attention"(query = {{%[^,]+}}, key = {{%[^,]+}}, value = {{%[^,]+}}, algorithm = "exact") : (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>)
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 63,63],
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[2,4,80,40],f32>, %arg1: !torch.vtensor<[2,4,63,40],f32>, %arg2: !torch.vtensor<[2,80,4,40],f32>) -> !torch.vtensor<[2,4,63,40],f32> {
    %int-1 = torch.constant.int -1
    %int-2 = torch.constant.int -2
    %0 = torch.aten.transpose.int %arg0, %int-1, %int-2 : !torch.vtensor<[2,4,80,40],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,4,40,80],f32>
    %int3 = torch.constant.int 3
    %int0 = torch.constant.int 0
    %int63 = torch.constant.int 63
    %int1 = torch.constant.int 1
    %1 = torch.aten.slice.Tensor %0, %int3, %int0, %int63, %int1 : !torch.vtensor<[2,4,40,80],f32>, !torch.int, !torch.int, !torch.int, !torch.int -> !torch.vtensor<[2,4,40,63],f32>
    %2 = torch.aten.slice.Tensor %arg2, %int1, %int0, %int63, %int1 : !torch.vtensor<[2,80,4,40],f32>, !torch.int, !torch.int, !torch.int, !torch.int -> !torch.vtensor<[2,63,4,40],f32>
    %int2 = torch.constant.int 2
    %3 = torch.aten.transpose.int %2, %int1, %int2 : !torch.vtensor<[2,63,4,40],f32>, !torch.int, !torch.int -> !torch.vtensor<[2,4,63,40],f32>
    %4 = torch.prim.ListConstruct %int0, %int1, %int3, %int2 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %5 = torch.aten.permute %1, %4 : !torch.vtensor<[2,4,40,63],f32>, !torch.list<int> -> !torch.vtensor<[2,4,63,40],f32>
    %6:2 = torch.operator "torch.hyper.attention"(query = %arg1, key = %5, value = %3, algorithm = "exact") : (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>) -> (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63],f32>) 
    return %6#0 : !torch.vtensor<[2,4,63,40],f32>
  }
}
