// Form `map_of_one_for_a_batch`: One map for every member of a batch: the batch is a feature of the values.
// Read as: full, 1 heads, scale 0.5
// CHECK: func.func @main{{.*}}
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 63,63],
// CHECK: torch.operator "torch.hyper.attention"(query = {{%[^,]+}}, key = {{%[^,]+}}, value = {{%[^,]+}}, scale = 0.5, algorithm = "exact") : (!torch.vtensor<[4,1,63,40],f32>, !torch.vtensor<[4,1,63,40],f32>, !torch.vtensor<[4,1,63,80],f32>)
// CHECK-NOT: torch.aten.{{(_)?}}softmax
// CHECK-NOT: torch.aten.{{matmul|bmm|einsum|baddbmm}}
// CHECK-NOT: 63,63],
// CHECK: return

// torch 2.13
module {
  func.func @main(%arg0: !torch.vtensor<[4,63,40],f32>, %arg1: !torch.vtensor<[4,63,40],f32>, %arg2: !torch.vtensor<[2,4,63,40],f32>) -> !torch.vtensor<[2,4,63,40],f32> {
    %int1 = torch.constant.int 1
    %0 = torch.aten.unsqueeze %arg1, %int1 : !torch.vtensor<[4,63,40],f32>, !torch.int -> !torch.vtensor<[4,1,63,40],f32>
    %1 = torch.aten.unsqueeze %arg0, %int1 : !torch.vtensor<[4,63,40],f32>, !torch.int -> !torch.vtensor<[4,1,63,40],f32>
    %int2 = torch.constant.int 2
    %int0 = torch.constant.int 0
    %int3 = torch.constant.int 3
    %2 = torch.prim.ListConstruct %int1, %int2, %int0, %int3 : (!torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %3 = torch.aten.permute %arg2, %2 : !torch.vtensor<[2,4,63,40],f32>, !torch.list<int> -> !torch.vtensor<[4,63,2,40],f32>
    %4 = torch.aten.unsqueeze %3, %int1 : !torch.vtensor<[4,63,2,40],f32>, !torch.int -> !torch.vtensor<[4,1,63,2,40],f32>
    %int-2 = torch.constant.int -2
    %int-1 = torch.constant.int -1
    %5 = torch.aten.flatten.using_ints %4, %int-2, %int-1 : !torch.vtensor<[4,1,63,2,40],f32>, !torch.int, !torch.int -> !torch.vtensor<[4,1,63,80],f32>
    %6:2 = torch.operator "torch.hyper.attention"(query = %0, key = %1, value = %5, scale = 0.5, algorithm = "exact") : (!torch.vtensor<[4,1,63,40],f32>, !torch.vtensor<[4,1,63,40],f32>, !torch.vtensor<[4,1,63,80],f32>) -> (!torch.vtensor<[4,1,63,80],f32>, !torch.vtensor<[4,1,63],f32>) 
    %int40 = torch.constant.int 40
    %7 = torch.prim.ListConstruct %int2, %int40 : (!torch.int, !torch.int) -> !torch.list<int>
    %8 = torch.aten.unflatten.int %6#0, %int-1, %7 : !torch.vtensor<[4,1,63,80],f32>, !torch.int, !torch.list<int> -> !torch.vtensor<[4,1,63,2,40],f32>
    %int4 = torch.constant.int 4
    %9 = torch.prim.ListConstruct %int3, %int0, %int2, %int4, %int1 : (!torch.int, !torch.int, !torch.int, !torch.int, !torch.int) -> !torch.list<int>
    %10 = torch.aten.permute %8, %9 : !torch.vtensor<[4,1,63,2,40],f32>, !torch.list<int> -> !torch.vtensor<[2,4,63,40,1],f32>
    %11 = torch.aten.squeeze.dim %10, %int-1 : !torch.vtensor<[2,4,63,40,1],f32>, !torch.int -> !torch.vtensor<[2,4,63,40],f32>
    return %11 : !torch.vtensor<[2,4,63,40],f32>
  }
}
