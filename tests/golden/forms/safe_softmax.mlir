// Form `safe_softmax`: The scores go through nn.Softmax; the result is transposed and made contiguous.
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
  func.func @main(%arg0: !torch.vtensor<[2,4,63,40],f32>, %arg1: !torch.vtensor<[2,4,63,40],f32>, %arg2: !torch.vtensor<[2,4,63,40],f32>) -> !torch.vtensor<[2,63,160],f32> {
    %int0 = torch.constant.int 0
    %0:2 = torch.operator "torch.hyper.attention"(query = %arg0, key = %arg1, value = %arg2, algorithm = "exact") : (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63,40],f32>) -> (!torch.vtensor<[2,4,63,40],f32>, !torch.vtensor<[2,4,63],f32>) 
    %int2 = torch.constant.int 2
    %int1 = torch.constant.int 1
    %int3 = torch.constant.int 3
    %1 = torch.prim.ListConstruct %int0, %int2, %int1, %int3 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %2 = torch.aten.permute %0#0, %1 : !torch.vtensor<[2,4,63,40],f32>, !torch.list<int> -> !torch.vtensor<[2,63,4,40],f32>
    %3 = torch.aten.contiguous %2, %int0 : !torch.vtensor<[2,63,4,40],f32>, !torch.int -> !torch.vtensor<[2,63,4,40],f32>
    %int63 = torch.constant.int 63
    %int160 = torch.constant.int 160
    %4 = torch.prim.ListConstruct %int2, %int63, %int160 : (!torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %5 = torch.aten.view %3, %4 : !torch.vtensor<[2,63,4,40],f32>, !torch.list<int> -> !torch.vtensor<[2,63,160],f32>
    return %5 : !torch.vtensor<[2,63,160],f32>
  }
}
